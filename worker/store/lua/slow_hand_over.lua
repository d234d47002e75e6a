--@once
-- Refused where Redis is full: it comes again with its lease.
-- Leaves a stream whose playlist took long to a slow poll, at once, as if it had not been polled. What another poll has
-- taken since stays as it is.
-- KEYS: stream hash, due set, due set of slow streams. ARGV: stream id, poll token.
if redis.call('HGET', KEYS[1], 'poll_token') ~= ARGV[2] or redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'polls_begun', 0)
local time = redis.call('TIME')
redis.call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return 1
