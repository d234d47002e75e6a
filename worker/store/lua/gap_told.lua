--@once
-- Refused where Redis is full: published when there is room, if the gap is there still.
-- Publishes that an origin's streams are not seen, or are again, if nobody published meanwhile.
-- KEYS: what was published last by origin, operators' stream. ARGV: origin, what the caller found there ('' if nothing),
--   what is there from now on ('' if nothing), event ('' if none).
-- Returns 1, or 0 if somebody else did.
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
