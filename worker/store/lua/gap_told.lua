--@once
-- Refused where Redis is full: published when there is memory, if the gap still exists.
-- Publishes that an origin's streams are missing, or are back, unless another process published meanwhile.
-- KEYS: published states by origin, operators' stream. ARGV: origin, state that the caller read ('' if none), new state
--   ('' if none), event ('' if none).
-- Returns 1, or 0 if another process published.
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
if ARGV[4] ~= '' then
  redis.call('XADD', KEYS[2], '*', 'event', ARGV[4])
end
return 1
