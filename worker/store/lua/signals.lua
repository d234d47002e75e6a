#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): the message that it applies is deleted, which frees as much.
-- Stores signals that a platform reports on a stream, and the time of each report; idempotent.
-- KEYS: stream hash, signals hash, mark of this call, reports of imminent danger that are to be raised.
-- ARGV: stream id, seconds that they are kept, most that there may be, seconds that the mark is kept, name of the signal
--   of imminent danger, then name, number, name …
-- Returns 'taken', 'unknown' (the stream is not watched) or 'too many'; with these two nothing was written.
if redis.call('EXISTS', KEYS[3]) == 1 then
  return 'taken'
end
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'removed' or state == 'ended' then
  return 'unknown'
end
local new = 0
for place = 6, #ARGV, 2 do
  new = new + 1 - redis.call('HEXISTS', KEYS[2], ARGV[place])
end
if redis.call('HLEN', KEYS[2]) + new > tonumber(ARGV[3]) then
  return 'too many'
end
local now_ms = string.format('%.0f', redis_ms())
for place = 6, #ARGV, 2 do
  if ARGV[place] == ARGV[5] and tonumber(ARGV[place + 1]) > 0 then
    note_danger(KEYS[4], KEYS[1], ARGV[1], now_ms)
  end
end
redis.call('HSET', KEYS[2], unpack(ARGV, 6))
redis.call('EXPIRE', KEYS[2], ARGV[2])
local reported = {}
for place = 6, #ARGV, 2 do
  reported[ARGV[place]] = true
end
date_signals(KEYS[1], KEYS[2], now_ms, reported)
redis.call('SET', KEYS[3], 1, 'EX', ARGV[4])
return 'taken'
