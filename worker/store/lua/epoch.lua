#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): its writes are small, and a full Redis has not lost its state.
-- Writes a sign of life and checks that Redis still has its state: if that was lost, a new epoch begins.
-- KEYS: epoch, active snapshot of the hash bank.
-- ARGV: id for a new epoch; then the caller's last answer: id ('' if none yet), its `alive_ms`, and the `alive_ms` that
--   even a Redis which lost its last seconds, as `appendfsync everysec` may, still has (0: none yet).
-- Returns {id, begun_ms, alive_ms, lost, since_ms, found, bank}, '' for missing fields.
local now_ms = redis_ms()
local seen, seen_ms, firm_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local function text(ms)
  return string.format('%.0f', ms)
end

local id, alive, begun, after = unpack(redis.call('HMGET', KEYS[1], 'id', 'alive_ms', 'begun_ms', 'lost'))
-- It only rises, whatever the clock does: a lower one is from an older copy.
local alive_ms = tonumber(alive or 0) or 0
local copy = id and id == seen and alive_ms < firm_ms
if id and id ~= seen and seen ~= '' and after ~= seen then
  -- Another epoch, which does not follow the caller's: if it began before the caller saw its own, it is from a copy.
  copy = (tonumber(begun or 0) or 0) < seen_ms
end
if not id or copy then
  id, alive_ms = ARGV[1], 0
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'id', id, 'begun_ms', text(now_ms), 'found', copy and 'older_copy' or 'nothing')
end
-- The first call of a process gives no sign yet: it would make an older copy look current to the others.
if seen ~= '' or alive_ms == 0 then
  alive_ms = math.max(alive_ms, now_ms)
  redis.call('HSET', KEYS[1], 'alive_ms', text(alive_ms))
end

local lost = ''
if redis.call('HDEL', KEYS[2], 'adopted') == 1 then
  lost = 'unknown'  -- no process is left that saw it, but the bank's folder shows that there was one
end
if seen ~= '' and seen ~= id then
  lost = seen
  local since_ms = tonumber(redis.call('HGET', KEYS[1], 'since_ms') or 0)
  redis.call('HSET', KEYS[1], 'since_ms', text(math.max(since_ms, math.min(seen_ms, now_ms))))
end
if lost ~= '' and redis.call('HSETNX', KEYS[1], 'lost', lost) == 1 then
  redis.call('HSET', KEYS[1], 'bank', 'behind')
end
local answer = redis.call('HMGET', KEYS[1], 'id', 'begun_ms', 'alive_ms', 'lost', 'since_ms', 'found', 'bank')
for place = 1, 7 do
  answer[place] = answer[place] or ''
end
return answer
