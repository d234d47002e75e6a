#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees.
-- Begins to erase a stream's data, if it is not watched and all its incidents stand as the caller has read them. Until
-- it is done, the stream cannot be watched and no hold be placed on its incidents.
-- KEYS: stream hash. ARGV: stream, the work as JSON, person, role, proof, entry of the audit log; for each incident its
--   id, its case, and its reports and outcome as read.
-- Returns {'begun'}, {'unproven'}, {'watched'}, {'already'} or {'changed'}: read again.
local role = proven(ARGV[3], ARGV[5])
if role == nil or (role ~= '' and role ~= ARGV[4]) then
  return {'unproven'}
end
local state = redis.call('HGET', KEYS[1], 'state')
if state and state ~= 'ended' and state ~= 'removed' then
  return {'watched'}
end
if redis.call('HEXISTS', KEY.FORGETTING, ARGV[1]) == 1 then
  return {'already'}
end
for i = 7, #ARGV, 4 do
  if redis.call('HLEN', KEY.EVIDENCE_HOLD .. ARGV[i]) > 0
    or redis.call('HLEN', KEY.REPORTS .. ARGV[i + 1]) ~= tonumber(ARGV[i + 2])
    or (redis.call('HGET', KEY.INCIDENT .. ARGV[i], 'outcome') or '') ~= ARGV[i + 3] then
    return {'changed'}
  end
end
-- First: an erasure that cannot be recorded does not begin.
audit(ARGV[6])
redis.call('HSET', KEY.FORGETTING, ARGV[1], ARGV[2])
return {'begun'}
