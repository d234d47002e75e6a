#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): two times, with which upkeep goes on, which frees memory.
-- Counts the due streams, unless another process ticked just now: a second beat does no harm.
-- KEYS: last tick, due set, time of the last reconciliation, due set of new streams, due set of slow ones.
-- ARGV: shortest time between ticks in ms, between reconciliations in ms, longest for which a stream is not due, how
--   many new streams become due with this tick, how many of these while slow polls are behind, since new streams may be
--   slow too.
-- Returns {due streams (-1: another process ticked), 1 if a reconciliation is due}.
local now_ms = redis_ms()
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
-- A tick in the future is from before Redis's clock went back.
if last <= now_ms and now_ms - last < tonumber(ARGV[1]) then
  return {-1, 0}
end
redis.call('SET', KEYS[1], now_ms)
local reconcile = 0
local reconciled = tonumber(redis.call('GET', KEYS[3]) or 0)
if reconciled > now_ms or now_ms - reconciled >= tonumber(ARGV[2]) then
  redis.call('SET', KEYS[3], now_ms)
  reconcile = 1
end
local slow_behind = count_due(KEYS[5], now_ms, ARGV[3]) >= tonumber(ARGV[4])
-- New streams are due as soon as they are registered, so their times are ignored: Redis's clock may have gone back.
for _, id in ipairs(redis.call('ZRANGE', KEYS[4], 0, (slow_behind and ARGV[5] or ARGV[4]) - 1)) do
  redis.call('ZREM', KEYS[4], id)
  redis.call('ZADD', KEYS[2], 'NX', now_ms, id)
end
return {count_due(KEYS[2], now_ms, ARGV[3]), reconcile}
