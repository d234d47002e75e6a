--@once
-- Refused where Redis is full: so is the end of a look.
-- Finds looks whose task must be sent again: it, its answer or the worker that took the request was lost.
-- KEYS: looks that were taken. ARGV: ms after which an unanswered task is sent again, the longest time of a task in ms,
--   ms for which somebody waits for a look.
-- Returns their ids.
local now_ms = redis_ms()
local due = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local key = KEY.LOOK .. id
  local look = redis.call('HMGET', key, 'state', 'asked_ms', 'sent_ms', 'began_ms')
  local function within(at, ms)
    return still_to_come((tonumber(at or 0) or 0) + ms, now_ms, ms)
  end
  if look[1] ~= 'waiting' or not within(look[2], ARGV[3]) then
    redis.call('LREM', KEYS[1], 0, id)
  elseif not within(look[3], ARGV[1]) and not within(look[4], ARGV[2]) then
    redis.call('HSET', key, 'sent_ms', string.format('%.0f', now_ms))
    -- One without a time was taken a moment ago.
    if look[3] then
      table.insert(due, id)
    end
  end
end
return due
