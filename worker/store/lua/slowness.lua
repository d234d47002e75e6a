#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): one small mark a stream, which expires.
-- Records whether a fetch or decode of a stream was slow just now. An existing mark is extended, and none is removed
-- before its hold is over.
-- KEYS: mark. ARGV: 1 if it was slow, its duration in ms, first hold in ms, longest hold in ms, seconds that relapses
--   are remembered.
-- Returns 1 if the stream is marked as slow now.
local now_ms = redis_ms()
local marked = redis.call('HGET', KEYS[1], 'slow') == '1'
if ARGV[1] == '1' then
  if not marked then
    redis.call('HINCRBY', KEYS[1], 'times', 1)
    redis.call('HSET', KEYS[1], 'slow', '1', 'since_ms', now_ms)
  end
  local relapses = tonumber(redis.call('HGET', KEYS[1], 'times')) - 1
  local hold_ms = math.min(ARGV[3] * 2 ^ math.min(relapses, 20), tonumber(ARGV[4]))
  redis.call('HSET', KEYS[1], 'until_ms', now_ms + hold_ms, 'held_ms', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[5])
  return 1
end
if not marked then
  return 0
end
redis.call('HSET', KEYS[1], 'held_ms', ARGV[2])
if not still_to_come(redis.call('HGET', KEYS[1], 'until_ms'), now_ms, ARGV[4]) then
  redis.call('HSET', KEYS[1], 'slow', '0')
  return 0
end
return 1
