-- Refused where Redis is full: the audit of a rendition can wait.
-- Begins the audit of a stream's other rendition, unless there is one now or the stream rests after one. Idempotent.
-- KEYS: rest. ARGV: token of this audit: sent twice, it gets the same answer; longest rest in ms.
-- Returns 1 if it was begun, else 0. The rest is the longest one until the audit has ended: it may end its process.
expire_within(KEYS[1], ARGV[2])
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) or redis.call('GET', KEYS[1]) == ARGV[1] then
  return 1
end
return 0
