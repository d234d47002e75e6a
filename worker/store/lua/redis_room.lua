#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): three fields, and three events an hour.
-- Publishes the state of Redis's memory, unless it was published recently or is known.
-- KEYS: published state (see worker/health/redis_memory.py), operators' stream. ARGV: 'scarce', 'refuses', or 'room'
--   once it is over; event; shortest time in ms between two events of one kind. Returns 1 if it was published.
local now_ms = redis_ms()
if ARGV[1] == 'room' then
  if redis.call('HDEL', KEYS[1], 'open') == 0 then
    return 0
  end
else
  local told_ms = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '')
  -- A time in the future is from before Redis's clock went back.
  if told_ms and now_ms >= told_ms and now_ms - told_ms < tonumber(ARGV[3]) then
    return 0
  end
  redis.call('HSET', KEYS[1], ARGV[1], now_ms, 'open', 1)
end
redis.call('XADD', KEYS[2], '*', 'event', ARGV[2])
return 1
