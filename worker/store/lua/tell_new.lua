--@once
-- Refused where Redis is full: published when there is room, if it is so still.
-- Publishes an event if it tells anything that was not told before. KEYS: set of what was told, stream.
-- ARGV: seconds to remember it, event, names of what it tells. Returns 1, or 0 if all of it was told before.
local new = 0
for i = 3, #ARGV do
  new = new + redis.call('SADD', KEYS[1], ARGV[i])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
if new == 0 then
  return 0
end
redis.call('XADD', KEYS[2], '*', 'event', ARGV[2])
return 1
