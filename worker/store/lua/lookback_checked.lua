--@once
-- Refused where Redis is full: the file is compared when there is room.
-- Records how far a late file of the verdict log has been compared, and what was found on the way, in one step.
-- KEYS: lease, late files by when they are due, late files and how they stand, hits that were told, what is to be raised.
-- ARGV: token of the lease, path, when it was due, when it is due again ('' for never: it is done), how it stands as JSON,
--   time in ms, groups as JSON, as `lookback_found.lua` takes them.
-- Returns how many hits are new; -1: the lease is lost, and nothing was written; -2: likewise, for somebody has
--   registered the file anew.
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
