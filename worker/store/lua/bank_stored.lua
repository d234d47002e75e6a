#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): two fields, written over those of the snapshot before.
-- Notes that a snapshot is in the store, if it is in force still. KEYS: snapshot in force. ARGV: name of the snapshot, its
--   digest. Returns 1, or 0: another one is in force by now, and nothing was written.
if redis.call('HGET', KEYS[1], 'name') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'stored', ARGV[1], 'digest', ARGV[2])
return 1
