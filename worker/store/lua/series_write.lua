--@once
-- Refused where Redis is full: a case can be decided without its timeline, and escalations need the room.
-- Writes the series of a case, unless it has changed since the caller read it.
-- KEYS: series. ARGV: version as read, new text, seconds that it is kept. Returns 1, or 0: read again.
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then
  redis.call('DEL', KEYS[1])
end
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'version', string.format('%.0f', ARGV[1] + 1), 'text', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
