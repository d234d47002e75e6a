--@once
-- Refused where Redis is full: it adds work; the hashes wait on.
-- Makes a look-back job of the hashes that wait, or of the first of them.
-- KEYS: list of those that wait, jobs, list of those that the job seeks. ARGV: most hashes, id of the job, job as JSON.
-- Returns how many it seeks; 0: none waits, and no job was made.
local waiting = redis.call('LPOP', KEYS[1], ARGV[1])
if not waiting then
  return 0
end
redis.call('RPUSH', KEYS[3], unpack(waiting))
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return #waiting
