#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): others may be waiting for the incident.
-- Releases an incident, if no other person holds it, for the next take. The event that its holder was shown stays
-- recorded, and bars decisions on a worse one. Its entries in the queue wait for the next holder.
-- KEYS: incident, its entries. ARGV: person, longest lease in ms.
-- Returns {'released', entries}, {'unknown'}, {'already', outcome, person}, {'held', person, seconds left} or {'free'}.
local now_ms = redis_ms()
local answer = not_held_by(KEYS[1], ARGV[1], now_ms, ARGV[2])
if answer then
  return answer
end
redis.call('HDEL', KEYS[1], 'holder', 'lease_until_ms')
local entries = redis.call('TYPE', KEYS[2]).ok == 'list' and redis.call('LRANGE', KEYS[2], 0, -1) or {}
for _, entry in ipairs(entries) do
  local stream, id = string.match(entry, '^(%S+) (%S+)$')
  redis.pcall('XCLAIM', stream, 'moderators', 'unheld', 0, id, 'JUSTID')
end
return {'released', #entries}
