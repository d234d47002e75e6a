--@once
-- Refused where Redis is full: the stream is due again when its lease expires.
-- Hands a stream with a slow playlist over to a slow poll, due immediately, as if it had not been polled. Does nothing
-- if another poll has taken it since.
-- KEYS: stream hash, due set, due set of slow streams. ARGV: stream id, poll token.
if redis.call('HGET', KEYS[1], 'poll_token') ~= ARGV[2] or redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'polls_begun', 0)
redis.call('ZADD', KEYS[3], redis_ms(), ARGV[1])
return 1
