-- Counts the polls that are due, unless somebody ticked just now: two beats do no harm.
-- KEYS: last tick, due set, time of the last reconciliation.
-- ARGV: shortest time between ticks in ms, between reconciliations in ms.
-- Returns {due streams (-1: somebody else ticked), 1 if it is time to reconcile}.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
if now_ms - last < tonumber(ARGV[1]) then
  return {-1, 0}
end
redis.call('SET', KEYS[1], now_ms)
local reconcile = 0
if now_ms - tonumber(redis.call('GET', KEYS[3]) or 0) >= tonumber(ARGV[2]) then
  redis.call('SET', KEYS[3], now_ms)
  reconcile = 1
end
return {redis.call('ZCOUNT', KEYS[2], '-inf', now_ms), reconcile}
