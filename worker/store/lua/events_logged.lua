#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): one field a stream of events.
-- Advances the positions up to which events are logged, so that one process logs each entry.
-- KEYS: positions. ARGV: stream, position from which the caller read ('' if there was none), id of the last entry that
--   it has read, stream …
-- Returns the streams whose entries the caller must log; of the others another process has logged some meanwhile.
local own = {}
for place = 1, #ARGV, 3 do
  if (redis.call('HGET', KEYS[1], ARGV[place]) or '') == ARGV[place + 1] then
    redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 2])
    table.insert(own, ARGV[place])
  end
end
return own
