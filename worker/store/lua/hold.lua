#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): a court does not wait.
-- Places a legal hold on an incident: nothing of it is deleted until the hold is released. One of the same person for the
-- same reason is that hold: they may not know that it was placed.
-- KEYS: incident, its holds, its evidence.
-- ARGV: incident id, id of the hold, the hold as JSON, person, role, proof, most holds, entry of the audit log.
-- Returns {'held', id of the hold, the hold as JSON, pictures, pictures that were being deleted already}, {'unproven'},
--   {'unknown'}, {'full'}, or {'forgotten'}: its stream's data is being erased.
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

local function held(id, hold)
  local purging = redis.call('HGET', KEY.EVIDENCE_PURGING, ARGV[1]) or ''
  local _, begun = string.gsub(purging, '%S+', '')
  return {'held', id, hold, redis.call('HLEN', KEYS[3]), begun}
end

local asked, holds = cjson.decode(ARGV[3]), redis.call('HGETALL', KEYS[2])
for i = 1, #holds, 2 do
  local ok, hold = pcall(cjson.decode, holds[i + 1])
  if ok and type(hold) == 'table' and hold.by == asked.by and hold.verified == asked.verified
    and hold.reason == asked.reason then
    return held(holds[i], holds[i + 1])
  end
end
if #holds / 2 >= tonumber(ARGV[7]) then
  return {'full'}
end
-- First: a hold that cannot be recorded is not placed.
audit(ARGV[8])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('ZADD', KEY.EVIDENCE_DUE, 0, ARGV[1])
return held(ARGV[2], ARGV[3])
