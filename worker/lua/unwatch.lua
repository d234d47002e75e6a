-- Takes a stream off. KEYS: stream hash, due set, all streams, due set of slow streams. ARGV: id, seconds that its record is kept.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return 0
end
redis.call('HINCRBY', KEYS[1], 'poll_token', 1)
redis.call('HSET', KEYS[1], 'state', 'removed')
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
