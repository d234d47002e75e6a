--@once
-- Refused where Redis is full: published when there is memory, if it still applies.
-- Publishes an event if any of its names was not published before. KEYS: set of published names, stream.
-- ARGV: seconds to remember them, event, its names. Returns 1, or 0 if all of them were published before.
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
