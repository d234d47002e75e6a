#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it changes numbers, and takes no room.
-- Makes streams due immediately that a batch took and did not poll. Those that another poll has taken since stay as
-- they are.
-- KEYS: due set. ARGV: prefix of the stream hashes, then id, poll token, id, poll token …
local now_ms = redis_ms()
for place = 2, #ARGV, 2 do
  local stream = ARGV[1] .. ARGV[place]
  if poll_has(stream, ARGV[place + 1]) then
    redis.call('HSET', stream, 'polls_begun', 0)
    redis.call('ZADD', KEYS[1], 'XX', now_ms, ARGV[place])
  end
end
return 1
