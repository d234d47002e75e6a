-- Refused where Redis is full: Redis failed and not the stream, which is due again when its lease expires.
-- Records a poll that ended by an unexpected error, without its cursor, which may be damaged. The stream is polled
-- again, later each time.
-- KEYS: stream hash, due set, coverage hash. ARGV: stream id, poll token, reason, first delay in ms, longest delay in
--   ms, ledger field of the count, the stream's member of the missing streams.
-- Returns 1, or 0 if the poll was overtaken. Idempotent.
if redis.call('HGET', KEYS[1], 'poll_token') ~= ARGV[2] then
  return 0
end
if redis.call('HGET', KEYS[1], 'polled_token') == ARGV[2] then
  return 1
end
local now_ms = redis_ms()
local found = redis.call('HMGET', KEYS[1], 'missing_member', 'last_poll_ms', 'registered_ms')
if (found[1] or '') == '' then
  -- The last poll may belong to the previous watch.
  local since_ms = math.max(tonumber(found[2] or '') or 0, tonumber(found[3] or '') or 0)
  since_ms = since_ms > 0 and since_ms or now_ms
  redis.call('HSET', KEYS[1], 'missing_member', ARGV[7], 'missing_since_ms', since_ms, 'missing_reason', 'unreachable',
    'missing_kept', '1', 'missing_from_ms', since_ms, 'gap_since_ms', since_ms)
end
list_missing(KEYS[1])
redis.call('HSET', KEYS[1], 'polled_token', ARGV[2], 'state', 'unreachable', 'reason', ARGV[3], 'polls_begun', 0,
  'last_poll_ms', now_ms)
local errors = redis.call('HINCRBY', KEYS[1], 'poll_errors', 1)
local next_ms = now_ms + math.min(ARGV[4] * 2 ^ math.min(errors - 1, 20), tonumber(ARGV[5]))
redis.call('ZADD', KEYS[2], next_ms, ARGV[1])
redis.call('HSET', KEYS[1], 'next_poll_ms', string.format('%d', next_ms))
redis.pcall('HINCRBY', KEYS[3], ARGV[6], 1)
return 1
