-- Refused where Redis is full: it adds work. The first poll afterwards accounts for the time meanwhile.
-- Commits the outcome of a poll, unless another poll or a registration overtook it.
-- Segments become pending with a deadline before any message about them is sent, since messages may be lost.
-- KEYS: stream hash, due set, pending hash, overdue set, coverage hash, validators hash, the two other
--   due sets, platforms' events.
-- ARGV: stream id, poll token, delay to the next poll in ms (-1: none, the stream has ended), deadline of new segments
--   in ms from now, seconds that an ended stream's record is kept, stream fields, coverage increments, new segments
--   (key to record), keys whose validators are deleted, events [{field, mark, event}], each published once for its
--   mark; the last five as JSON; then how many of platforms' events are kept, the URL that stays once the stream has
--   ended, and what it listed and nobody can see (reason to ms, as JSON).
-- Returns 1, or 0 if the poll was overtaken and nothing was written. Idempotent.
local now_ms = redis_ms()
if redis.call('HGET', KEYS[1], 'poll_token') ~= ARGV[2] then
  return 0
end
if redis.call('HGET', KEYS[1], 'polled_token') == ARGV[2] then
  return 1
end
for _, place in ipairs({3, 5, 6}) do
  redis.call('HLEN', KEYS[place])  -- fails on another type before anything is written
end
set_fields(KEYS[1], cjson.decode(ARGV[6]))
list_missing(KEYS[1])
redis.call('HSET', KEYS[1], 'last_poll_ms', now_ms, 'polls_begun', 0)
redis.call('HDEL', KEYS[1], 'poll_errors')
local increments = cjson.decode(ARGV[7])
for field, increment in pairs(increments) do
  redis.call('HINCRBY', KEYS[5], field, increment)
end
local hidden = cjson.decode(ARGV[13])
if next(hidden) then
  note_blindness(KEYS[1], ARGV[1], hidden, 0)
end
local purpose = redis.call('HGET', KEYS[1], 'purpose') or 'live'
add_ledger_today(purpose, increments)
-- A stream that lists something counts once a day and purpose.
local day = math.floor(now_ms / 86400000) .. ' ' .. purpose
if next(increments) and redis.call('HGET', KEYS[1], 'counted_day') ~= day then
  redis.call('HSET', KEYS[1], 'counted_day', day)
  add_today(purpose, {streams = 1})
end
for key, record in pairs(cjson.decode(ARGV[8])) do
  redis.call('HSET', KEYS[3], key, record)
  redis.call('ZADD', KEYS[4], now_ms + ARGV[4], ARGV[1] .. ' ' .. key)
end
for _, key in ipairs(cjson.decode(ARGV[9])) do
  redis.call('HDEL', KEYS[6], key)
end
for _, one in ipairs(cjson.decode(ARGV[10])) do
  if redis.call('HGET', KEYS[1], one.field) ~= one.mark then
    redis.call('HSET', KEYS[1], one.field, one.mark)
    redis.call('XADD', KEYS[9], 'MAXLEN', '~', ARGV[11], '*', 'event', one.event)
  end
end
redis.call('ZREM', KEYS[7], ARGV[1])
redis.call('ZREM', KEYS[8], ARGV[1])
if tonumber(ARGV[3]) >= 0 then
  redis.call('ZADD', KEYS[2], now_ms + ARGV[3], ARGV[1])
  redis.call('HSET', KEYS[1], 'next_poll_ms', now_ms + ARGV[3])
  redis.call('PERSIST', KEYS[5])
else
  redis.call('ZREM', KEYS[2], ARGV[1])
  check_ends(ARGV[1], now_ms)
  forget_details(KEYS[1], ARGV[12])
  redis.call('EXPIRE', KEYS[1], ARGV[5])
  redis.call('EXPIRE', KEYS[5], ARGV[5])
end
redis.call('HSET', KEYS[1], 'polled_token', ARGV[2])
return 1
