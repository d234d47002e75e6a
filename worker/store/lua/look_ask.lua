--@once
-- Refused where Redis is full: a look can wait, escalations cannot.
-- Notes that a person asks for a picture of what an incident's stream shows now; the audit log has it before it is done.
-- KEYS: incident, the look, its stream's look, looks that wait. ARGV: id of the look, incident id, stream, person, role,
--   proof, most looks that wait, seconds that the look is kept, seconds for which the stream has no other, entry of the
--   audit log.
-- Returns {'asked', id of the look}, which is that person's own where it waits already, {'unproven'}, {'unknown'}, {'decided', outcome}, {'busy', seconds left}, {'full'} or {'forgotten'}.
local role = proven(ARGV[4], ARGV[6])
if role == nil or (role ~= '' and role ~= ARGV[5]) then
  return {'unproven'}
end
local known = redis.call('HMGET', KEYS[1], 'stream_id', 'outcome')
if known[1] ~= ARGV[3] then
  return {'unknown'}
end
if known[2] then
  return {'decided', known[2]}
end
if redis.call('HEXISTS', KEY.FORGETTING, ARGV[3]) == 1 then
  return {'forgotten'}
end
if redis.call('LLEN', KEYS[4]) >= tonumber(ARGV[7]) then
  return {'full'}
end
local left = redis.call('TTL', KEYS[3])
-- A longer one is from before Redis's clock went back.
if left >= 0 and left <= tonumber(ARGV[9]) then
  -- Somebody whose answer was lost asks again.
  local before = redis.call('GET', KEYS[3])
  local function of(field) -- HGET: moderators may do no HMGET here
    return redis.call('HGET', KEY.LOOK .. before, field)
  end
  if of('incident') == ARGV[2] and of('by') == ARGV[4] and of('state') == 'waiting' then
    return {'asked', before}
  end
  return {'busy', left}
end
-- First: a look that cannot be recorded is not asked for.
audit(ARGV[10])
redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[9])
redis.call('HSET', KEYS[2], 'incident', ARGV[2], 'stream', ARGV[3], 'by', ARGV[4], 'state', 'waiting', 'asked_ms',
  string.format('%.0f', redis_ms()))
redis.call('EXPIRE', KEYS[2], ARGV[8])
redis.call('RPUSH', KEYS[4], ARGV[1])
return {'asked', ARGV[1]}
