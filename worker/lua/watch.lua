-- Registers a stream, or goes on with changed particulars; safe to be sent twice.
-- KEYS: stream hash, all streams, due set, signals hash, mark of this call, operators' stream.
-- ARGV: id, url, purpose, audience, risk_prior, metadata, seconds that the mark is kept, then what the caller found and
-- made its event of: whether the stream is watched (1 or 0), its url, its purpose; event, or '' if nothing is changed.
-- Returns the watch generation, or 'changed' if what the caller found is so no more: nothing was written.
local before = redis.call('GET', KEYS[5])
if before then
  return tonumber(before)
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 'state', 'url', 'purpose', 'generation')
local watched = found[1] and found[1] ~= 'ended' and found[1] ~= 'removed'
if (watched and '1' or '0') ~= ARGV[8] or (found[2] or '') ~= ARGV[9] or (found[3] or '') ~= ARGV[10] then
  return 'changed'
end
-- Another purpose is another watch: what is found and decided under one says nothing about the other.
local goes_on = watched and found[2] == ARGV[2] and found[3] == ARGV[3]

redis.call('HSET', KEYS[1], 'stream_id', ARGV[1], 'url', ARGV[2], 'purpose', ARGV[3], 'audience', ARGV[4],
  'risk_prior', ARGV[5], 'metadata', ARGV[6])
local generation = tonumber(found[4])
if not goes_on then
  -- A poll still under way for the generation before holds another token: what it read is thrown away.
  redis.call('HINCRBY', KEYS[1], 'poll_token', 1)
  redis.call('HDEL', KEYS[1], 'cursor', 'reason', 'media_url', 'tried', 'no_video', 'polls_begun', 'poll_errors')
  redis.call('DEL', KEYS[4])
  redis.call('HSET', KEYS[1], 'state', 'waiting', 'registered_ms', now_ms)
  redis.call('PERSIST', KEYS[1])
  redis.call('ZADD', KEYS[2], now_ms, ARGV[1])
  redis.call('ZADD', KEYS[3], now_ms, ARGV[1])
  generation = redis.call('HINCRBY', KEYS[1], 'generation', 1)
end
if ARGV[11] ~= '' then
  redis.call('XADD', KEYS[6], '*', 'event', ARGV[11])
end
redis.call('SET', KEYS[5], generation, 'EX', ARGV[7])
return generation
