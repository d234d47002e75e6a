#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): a person is working on the incident.
-- Renews the lease of an incident's holder; also an expired one, if no other person has taken it since.
-- KEYS: incident, ids that the person holds. ARGV: incident id, holder, lease in ms, longest lease in ms.
-- Returns {'extended', end of the lease in ms, whether the incident has changed since it was shown (1 or 0)},
--   {'unknown'}, {'already', outcome, person}, {'held', person, seconds left} or {'free'}.
local now_ms = redis_ms()
local answer = not_held_by(KEYS[1], ARGV[2], now_ms, ARGV[4])
if answer then
  return answer
end
local lease_until_ms = now_ms + ARGV[3]
redis.call('HSET', KEYS[1], 'lease_until_ms', lease_until_ms)
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
local events = redis.call('HMGET', KEYS[1], 'event', 'shown')
return {'extended', lease_until_ms, events[1] ~= events[2] and 1 or 0}
