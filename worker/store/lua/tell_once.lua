--@once
-- Refused where Redis is full: published when there is room, if it is so still.
-- Publishes an event unless it was told before. KEYS: mark of this event, stream. ARGV: seconds to remember it, event.
-- Returns 1, or 0 if it was told before.
if not redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[1]) then
  return 0
end
redis.call('XADD', KEYS[2], '*', 'event', ARGV[2])
return 1
