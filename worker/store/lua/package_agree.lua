--@once
-- Refused where Redis is full: a package can wait, and its evidence stays.
-- Records that a person agrees to a package; the same agreement is recorded once while it stands.
-- KEYS: agreements on the case. ARGV: field of the person, person, role, proof, what is agreed to (a digest), its life
--   in ms, the agreement as JSON, most agreements, entry of the audit log.
-- Returns {'agreed', the standing agreements as JSON ...}, {'unproven'} or {'full'}.
local role = proven(ARGV[2], ARGV[4])
if role == nil or (role ~= '' and role ~= ARGV[3]) then
  return {'unproven'}
end
local before = redis.call('HGET', KEYS[1], ARGV[1])
local stands = false
for _, text in ipairs(standing_agreements(KEYS[1], ARGV[5], ARGV[6])) do
  stands = stands or text == before
end
if not stands then
  if not before and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[8]) then
    return {'full'}
  end
  -- First: an agreement that cannot be recorded is none.
  audit(ARGV[9])
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[7])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
return {'agreed', unpack(standing_agreements(KEYS[1], ARGV[5], ARGV[6]))}
