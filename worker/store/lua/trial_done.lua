#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it deletes the segments that waited for the trial.
-- Ends a stream's trial, the one fetch that shows whether its origin is quick.
-- KEYS: trial, mark of quick streams, segments that wait for the trial's end. ARGV: 1 if it was quick, seconds that
--   this is remembered.
-- Returns the segments that waited.
redis.call('DEL', KEYS[1])
if ARGV[1] == '1' then
  redis.call('SET', KEYS[2], '1', 'EX', ARGV[2])
else
  redis.call('DEL', KEYS[2])
end
local parked = redis.call('ZRANGE', KEYS[3], 0, -1)
redis.call('DEL', KEYS[3])
return parked
