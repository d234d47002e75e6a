#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): one incident for each watched stream.
-- Writes the incident of a report of imminent danger, if it still waits and the stream's incidents are unchanged.
-- KEYS: reports that wait, stream's incidents. ARGV: the report's member, its time in ms, version of the incidents that
--   the caller read, rule states, incidents, events (JSON, as for `write_incidents`).
-- Returns 'written', 'over' (another has raised it; nothing was written), or 'clash' (nothing was written; read again).
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '') ~= tonumber(ARGV[2]) then
  return 'over'
end
if (redis.call('HGET', KEYS[2], 'version') or '0') ~= ARGV[3] then
  return 'clash'
end
write_incidents(KEYS[2], cjson.decode(ARGV[4]), cjson.decode(ARGV[5]), cjson.decode(ARGV[6]))
redis.call('ZREM', KEYS[1], ARGV[1])
return 'written'
