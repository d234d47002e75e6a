--@once
-- Refused where Redis is full: it makes segments pending; the step is done again.
-- Records how far a look-back has come, and what it found on the way, in one step: a look-back that is killed finds it
-- again from the last step on, and what was found before is not told again.
-- KEYS: lease, jobs, hits that were told, what is to be raised. ARGV: token of the lease, id of the job, job as JSON, time
--   in ms, groups as JSON: as `note_found` takes them.
-- Returns how many hits are new, or -1: the lease is lost, nothing was written.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
local new = note_found(KEYS[3], KEYS[4], ARGV[4], cjson.decode(ARGV[5]))
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return new
