--@once
-- Refused where Redis is full: published when there is memory, if it still applies.
-- Publishes an event unless it was published before. KEYS: mark of this event, stream. ARGV: seconds to remember it,
-- event.
-- Returns 1, or 0 if it was published before.
if not redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[1]) then
  return 0
end
redis.call('XADD', KEYS[2], '*', 'event', ARGV[2])
return 1
