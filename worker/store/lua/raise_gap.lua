#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): one incident for each gap that lasts.
-- Writes the incident of a lasting gap, if it still lasts and the stream's incidents are unchanged.
-- KEYS: stream hash, stream's incidents. ARGV: watch generation, start of the gap in ms, version of the incidents that
--   the caller read, rule states, incidents, events (JSON, as for `write_incidents`), fields of the stream hash: start
--   of the gap, and start of the gap raised last.
-- Returns 'written', 'over' (nothing was written), or 'clash' (nothing was written; read again).
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
