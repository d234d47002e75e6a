#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): a person is working on the incident.
-- Renews the lease of an incident's holder, and of the others of its case that they hold; also an expired one, if no
-- other person has taken it since.
-- KEYS: incident, ids that the person holds. ARGV: incident id, holder, lease in ms, longest lease in ms, proof.
-- Returns {'extended', end of the lease in ms, whether the incident has changed since it was shown (1 or 0), ids of the
--   others}, {'unknown'}, {'already', outcome, person}, {'held', person, seconds left}, {'free'}, {'unproven'} or
--   {'role', role, role that is needed}.
local now_ms = redis_ms()
local function refusal(key)
  return barred(key, ARGV[2], ARGV[5]) or not_held_by(key, ARGV[2], now_ms, ARGV[4])
end

local answer = refusal(KEYS[1])
if answer then
  return answer
end
local function renew(incident)
  redis.call('SADD', KEYS[2], incident)
  end_hand_over(KEY.INCIDENT .. incident, now_ms, ARGV[4])
  return renew_lease(KEY.INCIDENT .. incident, now_ms, ARGV[3], ARGV[4])
end

local lease_until_ms = renew(ARGV[1])
local others = {}
for _, other in ipairs(case_of(ARGV[1])) do
  if other ~= ARGV[1] and is_incident(other) and not refusal(KEY.INCIDENT .. other) then
    renew(other)
    table.insert(others, other)
  end
end
redis.call('EXPIRE', KEYS[2], LIFE.HELD)
local events = redis.call('HMGET', KEYS[1], 'event', 'shown')
return {'extended', lease_until_ms, events[1] ~= events[2] and 1 or 0, others}
