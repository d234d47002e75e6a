#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): the policy is in force then as well.
-- Records in the audit log that another policy is in force, unless another worker has done so.
-- KEYS: the version on record. ARGV: the version on record that the caller saw ('' for none), the new one, entry of the
--   audit log. Returns 1, or 0: another worker recorded a version meanwhile.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
audit(ARGV[3])
redis.call('SET', KEYS[1], ARGV[2])
return 1
