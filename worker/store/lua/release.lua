#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees what others wait for.
-- Gives an incident back, if nobody else holds it: whoever takes next may have it. What its holder was shown stays noted,
-- and bars decisions on what is worse. Its entries in the queue wait for whoever takes it.
-- KEYS: incident, its entries. ARGV: who gives it back, longest lease in ms.
-- Returns {'released', entries}, {'unknown'}, {'already', outcome, who decided}, {'held', who, seconds left} or {'free'}.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
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
