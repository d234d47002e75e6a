--@once
-- Refused where Redis is full: the message could not be sent. The segment stays pending, and is overdue when there is room.
-- Has a segment wait for its stream's turn.
-- KEYS: the stream's waiting segments, streams by their turn, clock, mark, messages of the lane's queue. ARGV: stream
--   id, segment key, seconds that waiting segments are kept.
-- Returns 1 if a message must be sent: the segment did not wait yet, or fewer messages than streams wait. Else 0.
local time = redis.call('TIME')
local added = redis.call('ZADD', KEYS[1], 'NX', time[1] * 1000000 + time[2], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
-- Not before the others, however long it was away, and not before what it still owes.
local clock = tonumber(redis.call('GET', KEYS[3]) or '') or 0
local owed = tonumber(redis.call('HGET', KEYS[4], 'turn') or '') or 0
redis.call('ZADD', KEYS[2], 'NX', math.max(clock, owed), ARGV[1])
if added == 1 or redis.call('LLEN', KEYS[5]) < redis.call('ZCARD', KEYS[2]) then
  return 1
end
return 0
