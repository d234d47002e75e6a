#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): two fields, which replace those of the previous snapshot.
-- Records that a snapshot is in the store, if it is still active. KEYS: active snapshot. ARGV: name of the snapshot,
--   its digest. Returns 1, or 0: another one is active by now, and nothing was written.
if redis.call('HGET', KEYS[1], 'name') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'stored', ARGV[1], 'digest', ARGV[2])
return 1
