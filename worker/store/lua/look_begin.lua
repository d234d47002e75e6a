--@once
-- Refused where Redis is full: so is the end of a look.
-- Begins a look, unless it has ended or another task is at it. KEYS: the look. ARGV: id of the task, the longest time that
-- one takes in ms: after it, the task is taken for lost.
-- Returns incident and stream, or {}: there is nothing to do.
local now_ms = redis_ms()
local look = redis.call('HMGET', KEYS[1], 'state', 'task', 'began_ms', 'incident', 'stream')
local taken = still_to_come((tonumber(look[3] or 0) or 0) + ARGV[2], now_ms, ARGV[2])
if look[1] ~= 'waiting' or (taken and look[2] ~= ARGV[1]) then
  return {}
end
redis.call('HSET', KEYS[1], 'task', ARGV[1], 'began_ms', string.format('%.0f', now_ms))
return {look[4], look[5]}
