#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees.
-- Releases legal holds on an incident; its terms then count again.
-- KEYS: its holds. ARGV: incident id, id of the hold ('' for all), person, role, proof, entry of the audit log.
-- Returns {'released', how many, holds left}, {'unproven'} or {'none'}.
local role = proven(ARGV[3], ARGV[5])
if role == nil or (role ~= '' and role ~= ARGV[4]) then
  return {'unproven'}
end
local released = ARGV[2] == '' and redis.call('HLEN', KEYS[1]) or redis.call('HEXISTS', KEYS[1], ARGV[2])
if released == 0 then
  return {'none'}
end
-- First: a release that cannot be recorded does not happen.
audit(ARGV[6])
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HDEL', KEYS[1], ARGV[2])
end
redis.call('ZADD', KEY.EVIDENCE_DUE, 0, ARGV[1])
return {'released', released, redis.call('HLEN', KEYS[1])}
