#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): one field a stream, by which what was copied can be trimmed.
-- Notes how far what became of verdicts is copied into the store, or that all of it is. Safe to be sent twice.
-- KEYS: positions, when all was copied last. ARGV: that time in ms ('' if there may be more), then stream, id of the last
--   entry that was copied, stream, id …
for place = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1])
end
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[2], ARGV[1])
end
return 1
