--@once
-- Refused where Redis is full: it makes segments pending; the step is done again.
-- Records the progress of a look-back and its finds in one step: a look-back that is killed goes on from the last step,
-- and hits that were found before are not new again.
-- KEYS: lease, jobs, hits found before, finds to raise. ARGV: token of the lease, id of the job, job as JSON, time in
--   ms, groups as JSON, as for `note_found`.
-- Returns how many hits are new, or -1: the lease is lost, nothing was written.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
local new = note_found(KEYS[3], KEYS[4], ARGV[4], cjson.decode(ARGV[5]))
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return new
