#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): others may be waiting for the incident.
-- Releases an incident, if no other person holds it, for the next take, and with it the others of its case that the
-- person holds. The event that its holder was shown stays recorded, and bars decisions on a worse one. Its entries in the
-- queue wait for the next holder.
-- KEYS: incident. ARGV: incident id, person, longest lease in ms, proof.
-- Returns {'released', entries, ids of the others}, {'unknown'}, {'already', outcome, person}, {'held', person, seconds
--   left}, {'free'} or {'unproven'}.
local now_ms = redis_ms()
if not proven(ARGV[2], ARGV[4]) then
  return {'unproven'}
end
local answer = not_held_by(KEYS[1], ARGV[2], now_ms, ARGV[3])
if answer then
  return answer
end

local entries, others = give_back(ARGV[1]), {}
for _, other in ipairs(case_of(ARGV[1])) do
  if other ~= ARGV[1] and is_incident(other) and not not_held_by(KEY.INCIDENT .. other, ARGV[2], now_ms, ARGV[3]) then
    give_back(other)
    table.insert(others, other)
  end
end
return {'released', entries, others}
