#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it overwrites what begin wrote.
-- Releases a segment, to be tried again after a delay: the reconciler sends it then. After its lease has expired and
-- another worker has the segment, it does nothing.
-- KEYS: pending hash, overdue set, tries hash. ARGV: member of the overdue set, segment key, delay in ms, field to
--   count ('deaths' or 'fetches'; '' for none), whether the try ended in order (1 or 0), token of the lease.
-- Returns 1 if it was released, else 0.
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 or redis.call('HGET', KEYS[3], 'token') ~= ARGV[6] then
  return 0
end
local now_ms = redis_ms()
redis.call('HDEL', KEYS[3], 'leased_until_ms', 'token', 'trial')
if ARGV[4] ~= '' then
  redis.call('HINCRBY', KEYS[3], ARGV[4], 1)
end
if ARGV[5] == '1' then
  redis.call('HINCRBY', KEYS[3], 'begun', -1)
end
redis.call('ZADD', KEYS[2], now_ms + ARGV[3], ARGV[1])
return 1
