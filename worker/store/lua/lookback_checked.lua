--@once
-- Refused where Redis is full: the file is compared when there is memory.
-- Records how far a late file of the verdict log has been compared, and the finds, in one step.
-- KEYS: lease, late files by due time, progress of late files, hits found before, finds to raise.
-- ARGV: token of the lease, path, its due time, its next due time ('' for none: it is done), progress as JSON, time in
--   ms, groups as JSON, as for `lookback_found.lua`.
-- Returns how many hits are new; -1: the lease is lost, and nothing was written; -2: the file was registered again, and
--   nothing was written.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
local due = redis.call('ZSCORE', KEYS[2], ARGV[2])
if not due or tonumber(due) ~= tonumber(ARGV[3]) then
  return -2
end
local new = note_found(KEYS[4], KEYS[5], ARGV[6], cjson.decode(ARGV[7]))
if ARGV[4] == '' then
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('HDEL', KEYS[3], ARGV[2])
else
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[2])
  redis.call('HSET', KEYS[3], ARGV[2], ARGV[5])
end
return new
