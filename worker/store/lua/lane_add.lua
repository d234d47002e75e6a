--@once
-- Refused where Redis is full: the message could not be sent. The segment stays pending, and becomes overdue.
-- Enqueues a segment in a fair queue (start-time fair queuing).
-- KEYS: the stream's waiting segments, streams by start tag, virtual time, mark, messages of the lane's queue. ARGV:
--   stream id, segment key, seconds that waiting segments are kept.
-- Returns 1 if a message must be sent: the segment did not wait yet, or fewer messages than streams wait. Else 0.
local time = redis.call('TIME')
local added = redis.call('ZADD', KEYS[1], 'NX', time[1] * 1000000 + time[2], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
-- The start tag is at least the virtual time, so an idle stream saves up nothing, and at least the stream's own last
-- one.
local clock = tonumber(redis.call('GET', KEYS[3]) or '') or 0
local owed = tonumber(redis.call('HGET', KEYS[4], 'turn') or '') or 0
redis.call('ZADD', KEYS[2], 'NX', math.max(clock, owed), ARGV[1])
if added == 1 or redis.call('LLEN', KEYS[5]) < redis.call('ZCARD', KEYS[2]) then
  return 1
end
return 0
