-- Registers a stream, or goes on with changed particulars.
-- KEYS: stream hash, all streams, due set, signals hash. ARGV: id, url, purpose, audience, risk_prior, metadata.
-- Returns the watch generation.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HGET', KEYS[1], 'state')
local goes_on = state and state ~= 'ended' and state ~= 'removed' and redis.call('HGET', KEYS[1], 'url') == ARGV[2]

redis.call('HSET', KEYS[1], 'stream_id', ARGV[1], 'url', ARGV[2], 'purpose', ARGV[3], 'audience', ARGV[4],
  'risk_prior', ARGV[5], 'metadata', ARGV[6])
if goes_on then
  return tonumber(redis.call('HGET', KEYS[1], 'generation'))
end
-- A poll still under way for the generation before holds another token: what it read is thrown away.
redis.call('HINCRBY', KEYS[1], 'poll_token', 1)
redis.call('HDEL', KEYS[1], 'cursor', 'reason', 'media_url', 'tried', 'no_video', 'polls_begun', 'poll_errors')
redis.call('DEL', KEYS[4])
redis.call('HSET', KEYS[1], 'state', 'waiting', 'registered_ms', now_ms)
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[2], now_ms, ARGV[1])
redis.call('ZADD', KEYS[3], now_ms, ARGV[1])
return redis.call('HINCRBY', KEYS[1], 'generation', 1)
