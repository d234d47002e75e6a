#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): a court does not wait.
-- Places a legal hold on an incident: nothing of it is deleted until the hold is released.
-- KEYS: incident, its holds, its evidence.
-- ARGV: incident id, id of the hold, the hold as JSON, person, role, proof, most holds, entry of the audit log.
-- Returns {'held', pictures, pictures that were being deleted already}, {'unproven'}, {'unknown'}, {'full'}, or
--   {'forgotten'}: its stream's data is being erased.
local role = proven(ARGV[4], ARGV[6])
if role == nil or (role ~= '' and role ~= ARGV[5]) then
  return {'unproven'}
end
local stream = redis.call('HGET', KEYS[1], 'stream_id')
if not stream and redis.call('HLEN', KEYS[3]) == 0 then
  return {'unknown'}
end
if stream and redis.call('HEXISTS', KEY.FORGETTING, stream) == 1 then
  return {'forgotten'}
end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[7]) then
  return {'full'}
end
-- First: a hold that cannot be recorded is not placed.
audit(ARGV[8])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('ZADD', KEY.EVIDENCE_DUE, 0, ARGV[1])
local purging = redis.call('HGET', KEY.EVIDENCE_PURGING, ARGV[1]) or ''
local _, begun = string.gsub(purging, '%S+', '')
return {'held', redis.call('HLEN', KEYS[3]), begun}
