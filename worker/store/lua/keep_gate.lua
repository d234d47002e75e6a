#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): one state a stream, written over the one before.
-- Keeps, of two states of the gate, the one of the later capture time: segments end in any order, the result is one.
-- KEYS: gate hash of a stream. ARGV: field (generation and epoch), capture time in ms, state as JSON, seconds kept.
local kept = redis.call('HGET', KEYS[1], ARGV[1])
-- What cannot be read is older than everything.
local read, state = pcall(cjson.decode, kept or '')
local kept_ms = read and type(state) == 'table' and tonumber(state['capture_ms']) or -1
if kept_ms < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return 1
