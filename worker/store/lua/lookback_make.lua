--@once
-- Refused where Redis is full: it adds work; the hashes wait on.
-- Makes a look-back job for the waiting hashes, or for the first of them.
-- KEYS: waiting hashes, jobs, hashes of the job. ARGV: most hashes, id of the job, job as JSON.
-- Returns the number of its hashes; 0: none waits, and no job was made.
local waiting = redis.call('LPOP', KEYS[1], ARGV[1])
if not waiting then
  return 0
end
redis.call('RPUSH', KEYS[3], unpack(waiting))
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return #waiting
