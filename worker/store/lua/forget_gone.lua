#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees.
-- Forgets streams whose record has expired, and their ledgers, which nobody can look at any more: of so many streams as it
-- looks at, taken at random, so that however many there are no call takes long.
-- KEYS: all streams. ARGV: how many to look at, prefixes of the stream hashes and of the ledgers.
-- Returns how many were forgotten.
local forgotten = 0
for _, id in ipairs(redis.call('ZRANDMEMBER', KEYS[1], ARGV[1])) do
  if redis.call('EXISTS', ARGV[2] .. id) == 0 then
    redis.call('DEL', ARGV[3] .. id)
    forgotten = forgotten + redis.call('ZREM', KEYS[1], id)
  end
end
return forgotten
