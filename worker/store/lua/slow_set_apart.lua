--@once
-- Refused where Redis is full: nothing is polled.
-- Moves due streams with slow playlists to the due set of slow polls.
-- KEYS: due set, due set of slow streams. ARGV: prefix of the marks, most streams that are checked, longest time in ms
--   for which a stream is not due.
-- Returns how many were moved.
local now_ms = redis_ms()
local moved = 0
for _, id in ipairs(due_members(KEYS[1], now_ms, ARGV[3], ARGV[2])) do
  if redis.call('HGET', ARGV[1] .. id, 'slow') == '1' then
    -- A stream that was registered again may be there already: the earlier time counts.
    redis.call('ZADD', KEYS[2], 'LT', redis.call('ZSCORE', KEYS[1], id), id)
    redis.call('ZREM', KEYS[1], id)
    moved = moved + 1
  end
end
return moved
