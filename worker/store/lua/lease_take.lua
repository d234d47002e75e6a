#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): one small key for each kind of work, which expires.
-- Takes a lease, if it is free; idempotent. An existing one is shortened to the longest life: expiry follows Redis's
-- clock, which may have gone back, and a live holder renews it all the same.
-- KEYS: lease. ARGV: token, milliseconds. Returns 1, or 0 if another process has it.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
expire_within(KEYS[1], ARGV[2])
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0
