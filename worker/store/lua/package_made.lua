--@once
-- Refused where Redis is full: a package can wait, and its evidence stays.
-- Records that a case is packaged, before the file is written, if two people agree to it at this moment, the caller and
-- a lead among them.
-- KEYS: agreements on the case. ARGV: field of the person, person, role, proof, what is agreed to (a digest), life of an
--   agreement in ms, entry of the audit log.
-- Returns {'recorded'}, {'unproven'} or {'lacking'}.
local role = proven(ARGV[2], ARGV[4])
if role == nil or (role ~= '' and role ~= ARGV[3]) then
  return {'unproven'}
end
local own = redis.call('HGET', KEYS[1], ARGV[1])
local standing = standing_agreements(KEYS[1], ARGV[5], ARGV[6])
local agrees, lead = false, false
for _, text in ipairs(standing) do
  agrees = agrees or text == own
  lead = lead or cjson.decode(text).role == 'lead'
end
if #standing < 2 or not agrees or not lead then
  return {'lacking'}
end
audit(ARGV[7])
return {'recorded'}
