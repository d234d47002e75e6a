#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): one field a stream of events.
-- Notes how far streams of events are logged, so that each entry is logged by one process.
-- KEYS: positions. ARGV: stream, position that the caller went on from ('' if there was none), id of the last entry that
--   it has read, stream …
-- Returns the streams whose entries are the caller's to log; of the others somebody else has logged some meanwhile.
local own = {}
for place = 1, #ARGV, 3 do
  if (redis.call('HGET', KEYS[1], ARGV[place]) or '') == ARGV[place + 1] then
    redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 2])
    table.insert(own, ARGV[place])
  end
end
return own
