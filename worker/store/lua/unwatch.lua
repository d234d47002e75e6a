#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): the message that it applies is deleted, which frees as much.
-- Stops watching a stream; idempotent.
-- KEYS: stream hash, due set, all streams, mark of this call, operators' stream, due set of slow streams,
--   of new ones, platforms' events.
-- ARGV: id, seconds that its record is kept, seconds that the mark is kept, then the state that the caller read and
-- made its event from: whether the stream is watched (1 or 0), its url, its purpose; operators' event, or '' if it was
-- not watched; seconds that the record of a never-read stream is kept; platforms' event, or ''; how many of platforms'
-- events are kept; the URL that stays, without its query.
-- Returns 1, 0 if it was not known, or 'changed' if that state has changed: nothing was written.
local before = redis.call('GET', KEYS[4])
if before then
  return tonumber(before)
end
local found = redis.call('HMGET', KEYS[1], 'state', 'url', 'purpose')
local watched = found[1] and found[1] ~= 'ended' and found[1] ~= 'removed'
if (watched and '1' or '0') ~= ARGV[4] or (found[2] or '') ~= ARGV[5] or (found[3] or '') ~= ARGV[6] then
  return 'changed'
end
local known = redis.call('EXISTS', KEYS[1])
if known == 0 then
  redis.call('ZREM', KEYS[3], ARGV[1])
else
  redis.call('HINCRBY', KEYS[1], 'poll_token', 1)
  end_missing(KEYS[1], ARGV[1], redis_ms())
  redis.call('HSET', KEYS[1], 'state', 'removed')
  check_ends(ARGV[1], redis_ms())
  forget_details(KEYS[1], ARGV[11])
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[6], ARGV[1])
  redis.call('ZREM', KEYS[7], ARGV[1])
  local read = string.find(redis.call('HGET', KEYS[1], 'cursor') or '', '"last_read_ms":%d')
  local read_before = redis.call('HEXISTS', KEYS[1], 'read_before') == 1
  redis.call('EXPIRE', KEYS[1], (read or read_before) and ARGV[2] or ARGV[8])
end
if ARGV[7] ~= '' then
  redis.call('XADD', KEYS[5], '*', 'event', ARGV[7])
end
if ARGV[9] ~= '' then
  redis.call('XADD', KEYS[8], 'MAXLEN', '~', ARGV[10], '*', 'event', ARGV[9])
end
redis.call('SET', KEYS[4], known, 'EX', ARGV[3])
return known
