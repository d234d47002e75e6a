#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): it changes scores, and takes no room.
-- Renews the leases of streams that a batch is polling. Those whose poll has ended, or that another poll has taken
-- since, stay as they are, and no lease becomes shorter.
-- KEYS: due set. ARGV: prefix of the stream hashes, lease in milliseconds, then id, poll token, id, poll token …
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
for place = 3, #ARGV, 2 do
  if poll_has(ARGV[1] .. ARGV[place], ARGV[place + 1]) then
    redis.call('ZADD', KEYS[1], 'XX', 'GT', now_ms + ARGV[2], ARGV[place])
  end
end
return 1
