#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): one field a stream, after which copied entries can be trimmed.
-- Records how far outcomes of verdicts are copied into the store, or that all of them are. Idempotent.
-- KEYS: positions, time when all were copied last. ARGV: that time in ms ('' if there may be more), then stream, id of
--   the last copied entry, stream, id …
for place = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1])
end
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[2], ARGV[1])
end
return 1
