#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): one incident for each gap that lasts.
-- Writes the incident of a gap that lasts, if it still does and nothing has changed since it was decided on.
-- KEYS: stream hash, stream's incidents. ARGV: watch generation, since when in ms the stream is not seen, version of the
--   incidents that was decided on, rule states, incidents, events (as `write_incidents` takes them, as JSON),
--   fields of the stream hash: since when it is not seen, and which such time was raised last.
-- Returns 'written', 'over' (nothing was written), or 'clash' (likewise; read again).
local found = redis.call('HMGET', KEYS[1], 'generation', ARGV[7], 'missing_member')
if found[1] ~= ARGV[1] or found[2] ~= ARGV[2] or (ARGV[7] == 'gap_since_ms' and (found[3] or '') == '') then
  return 'over'
end
if (redis.call('HGET', KEYS[2], 'version') or '0') ~= ARGV[3] then
  return 'clash'
end
local states = cjson.decode(ARGV[4])
if next(states) then
  write_incidents(KEYS[2], states, cjson.decode(ARGV[5]), cjson.decode(ARGV[6]))
end
redis.call('HSET', KEYS[1], ARGV[8], ARGV[2])
return 'written'
