#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): the message that it applies is deleted, which frees as much.
-- Registers a stream, or updates a registered one; idempotent.
-- KEYS: stream hash, all streams, due set, signals hash, mark of this call, operators' stream, due set of
--   slow streams, of new ones, newest generation of all streams.
-- ARGV: id, url, purpose, audience, risk_prior, metadata, seconds that the mark is kept, then the state that the caller
-- read and made its event from: whether the stream is watched (1 or 0), its url, its purpose; event, or '' if nothing
-- changes; how many new streams may be due together, how many streams may be watched.
-- Returns the watch generation, or without having written anything 'changed' if that state has changed, 'full' if too
-- many are watched, 'forgotten' while the stream's data is being erased.
local before = redis.call('GET', KEYS[5])
if before then
  return tonumber(before)
end
if redis.pcall('HEXISTS', KEY.FORGETTING, ARGV[1]) == 1 then
  return 'forgotten'
end
local now_ms = redis_ms()
local found = redis.call('HMGET', KEYS[1], 'state', 'url', 'purpose', 'generation')
local watched = found[1] and found[1] ~= 'ended' and found[1] ~= 'removed'
if (watched and '1' or '0') ~= ARGV[8] or (found[2] or '') ~= ARGV[9] or (found[3] or '') ~= ARGV[10] then
  return 'changed'
end
-- Another purpose is another watch: incidents and decisions of one do not apply to the other.
local goes_on = watched and found[2] == ARGV[2] and found[3] == ARGV[3]
if not watched and redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[7]) + redis.call('ZCARD', KEYS[8])
  >= tonumber(ARGV[13]) then
  return 'full'
end

local generation = tonumber(found[4])
if not goes_on and found[1] then
  -- With the previous URL and purpose.
  end_missing(KEYS[1], ARGV[1], now_ms)
  check_ends(ARGV[1], now_ms)
end
redis.call('HSET', KEYS[1], 'stream_id', ARGV[1], 'url', ARGV[2], 'purpose', ARGV[3], 'audience', ARGV[4],
  'risk_prior', ARGV[5], 'metadata', ARGV[6])
if not goes_on then
  -- The form that `worker.ingest.playlist.cursor` writes.
  local was_read = string.find(redis.call('HGET', KEYS[1], 'cursor') or '', '"last_read_ms":%d')
  if was_read then
    redis.call('HSET', KEYS[1], 'read_before', 1)
  end
  -- A poll that still runs for the previous generation has another token: its outcome is discarded.
  redis.call('HINCRBY', KEYS[1], 'poll_token', 1)
  redis.call('HDEL', KEYS[1], 'cursor', 'reason', 'media_url', 'tried', 'no_video', 'polls_begun', 'poll_errors',
    'lag_ms', 'settled_until_ms', 'blind_since_ms', 'blind_reason', 'blind_lost_ms', 'blind_noted_ms',
    'signal_times')
  redis.call('DEL', KEYS[4])
  redis.call('HSET', KEYS[1], 'state', 'waiting', 'registered_ms', now_ms, 'next_poll_ms', now_ms)
  redis.call('PERSIST', KEYS[1])
  redis.call('ZADD', KEYS[2], now_ms, ARGV[1])
  local waits = redis.call('EXISTS', KEYS[8]) == 1 or redis.call('ZCOUNT', KEYS[3], '-inf', now_ms) >= tonumber(ARGV[12])
  -- A stream that was read before is polled with the others.
  if watched and was_read or not waits then
    redis.call('ZREM', KEYS[8], ARGV[1])
    redis.call('ZADD', KEYS[3], now_ms, ARGV[1])
  else
    -- Its place among the new streams, if it has one, stays: registering it again neither loses nor improves it.
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('ZADD', KEYS[8], 'NX', now_ms, ARGV[1])
  end
  redis.call('SET', KEYS[9], math.floor(now_ms / 1000), 'NX')
  generation = redis.call('INCR', KEYS[9])
  if found[4] and generation <= tonumber(found[4]) then  -- a clock that was ahead when the record was made
    generation = found[4] + 1
    redis.call('SET', KEYS[9], generation)
  end
  redis.call('HSET', KEYS[1], 'generation', generation)
  redis.call('HINCRBY', KEYS[1], 'watches', 1)  -- take_due: a stream watched a second time was not lost
end
if ARGV[11] ~= '' then
  redis.call('XADD', KEYS[6], '*', 'event', ARGV[11])
end
redis.call('SET', KEYS[5], generation, 'EX', ARGV[7])
return generation
