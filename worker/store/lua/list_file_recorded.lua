#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): lists of files are in force then as well.
-- Records in the audit log that a list of files came into force in this version, or that no worker has seen it for long,
-- unless another worker has done so.
-- KEYS: lists of files on record. ARGV: list and version, entry of the audit log, how long a list may go unseen in ms
--   ('' if it came into force). Returns 1, or 0: it is on record already, or has been seen meanwhile.
local seen_ms = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '')
if ARGV[3] == '' then
  if seen_ms then
    return 0
  end
  audit(ARGV[2])
  redis.call('ZADD', KEYS[1], redis_ms(), ARGV[1])
elseif not seen_ms or seen_ms > redis_ms() - ARGV[3] then
  return 0
else
  audit(ARGV[2])
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 1
