#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom), as intake_claim does.
-- Publishes how many messages were refused for one reason, unless it was published recently.
-- KEYS: mark of this reason, unpublished refusals by reason, stream. ARGV: seconds between two events of one reason,
-- reason, number in the event, event. Returns 1 if it was published.
local waiting = tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or 0)
if waiting < tonumber(ARGV[3]) or not redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[1]) then
  return 0
end
if redis.call('HINCRBY', KEYS[2], ARGV[2], -ARGV[3]) == 0 then
  redis.call('HDEL', KEYS[2], ARGV[2])
end
redis.call('XADD', KEYS[3], '*', 'event', ARGV[4])
return 1
