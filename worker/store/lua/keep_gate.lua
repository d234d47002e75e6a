#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): one state a stream, which is overwritten.
-- Keeps the state of the gate with the later capture time, so that the result does not depend on the order of segments.
-- KEYS: gate hash of a stream. ARGV: field (generation and epoch), capture time in ms, state as JSON, seconds kept.
local kept = redis.call('HGET', KEYS[1], ARGV[1])
-- A damaged state counts as the oldest.
local read, state = pcall(cjson.decode, kept or '')
local kept_ms = read and type(state) == 'table' and tonumber(state['capture_ms']) or -1
if kept_ms < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return 1
