#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): the message that it applies is deleted, which frees as much.
-- Stores signals that a platform reports on a stream; idempotent.
-- KEYS: stream hash, signals hash, mark of this call.
-- ARGV: seconds that they are kept, most that there may be, seconds that the mark is kept, then name, number, name …
-- Returns 'taken', 'unknown' (the stream is not watched) or 'too many'; with these two nothing was written.
if redis.call('EXISTS', KEYS[3]) == 1 then
  return 'taken'
end
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'removed' or state == 'ended' then
  return 'unknown'
end
local new = 0
for place = 4, #ARGV, 2 do
  new = new + 1 - redis.call('HEXISTS', KEYS[2], ARGV[place])
end
if redis.call('HLEN', KEYS[2]) + new > tonumber(ARGV[2]) then
  return 'too many'
end
redis.call('HSET', KEYS[2], unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[2], ARGV[1])
redis.call('SET', KEYS[3], 1, 'EX', ARGV[3])
return 'taken'
