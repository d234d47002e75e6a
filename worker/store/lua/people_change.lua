#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): a person who must not act any more is removed at once.
-- Changes the roster: adds or removes a person, changes a role, or replaces a token.
-- KEYS: people. ARGV: who changes it, their proof, name, its record as the caller read it ('' if there was none), its new
--   record as JSON ('' removes it), most people, entry of the audit log.
-- Returns {'changed'}; {'unproven'}: who changes it is not in the roster with that proof; {'role', role}: only a lead may,
--   and anybody may replace their own token; {'first'}: the first person has to be a lead; {'last'}: no lead would be left;
--   {'alike', name}: a person of that name in another spelling; {'full'}; or {'clash'}: read again.
local function record_of(text)
  local ok, record = pcall(cjson.decode, text or '')
  return ok and type(record) == 'table' and record or {}
end

local known, before, after = redis.call('HLEN', KEYS[1]), redis.call('HGET', KEYS[1], ARGV[3]) or '', record_of(ARGV[5])
local role_before = record_of(before).role
if known > 0 then
  local role = proven(ARGV[1], ARGV[2])
  if not role then
    return {'unproven'}
  end
  local own_token = ARGV[1] == ARGV[3] and after.role == role
  if role ~= 'lead' and not own_token then
    return {'role', role}
  end
elseif after.role ~= 'lead' then
  return {'first'}
end
if before ~= ARGV[4] then
  return {'clash'}
end
if before == '' then
  if known >= tonumber(ARGV[6]) then
    return {'full'}
  end
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if record_of(redis.call('HGET', KEYS[1], name)).folded == after.folded then
      return {'alike', name}
    end
  end
end
if role_before == 'lead' and after.role ~= 'lead' then
  local leads = 0
  for _, text in ipairs(redis.call('HVALS', KEYS[1])) do
    leads = leads + (record_of(text).role == 'lead' and 1 or 0)
  end
  if leads < 2 then
    return {'last'}
  end
end
audit(ARGV[7])
if ARGV[5] == '' then
  redis.call('HDEL', KEYS[1], ARGV[3])
else
  redis.call('HSET', KEYS[1], ARGV[3], ARGV[5])
end
return {'changed'}
