#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): bounded by the pending segments, as settle is.
-- Records matches of listed hashes on a stream, and counts the streams on which each matched recently.
-- KEYS: a sorted set of streams for each hash. ARGV: stream, how long in ms a match counts.
-- Returns the time in ms, and the number of streams for each hash.
local now_ms = redis_ms()
local answer = {now_ms}
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, string.format('%.0f', now_ms), ARGV[1])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('(%.0f', now_ms - ARGV[2]))
  redis.call('PEXPIRE', key, ARGV[2])
  table.insert(answer, redis.call('ZCARD', key))
end
return answer
