#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees.
-- Ends the erasure of a stream. ARGV: stream, entry of the audit log. Returns 1, or 0: it had ended before.
if redis.call('HEXISTS', KEY.FORGETTING, ARGV[1]) == 0 then
  return 0
end
audit(ARGV[2])
redis.call('HDEL', KEY.FORGETTING, ARGV[1])
return 1
