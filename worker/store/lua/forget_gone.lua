#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees.
-- Deletes streams whose record has expired, and their ledgers, which cannot be shown any more. It checks a random
-- sample, so that no call takes long, however many there are.
-- KEYS: all streams. ARGV: size of the sample, prefixes of the stream hashes and of the ledgers.
-- Returns how many were deleted.
local forgotten = 0
for _, id in ipairs(redis.call('ZRANDMEMBER', KEYS[1], ARGV[1])) do
  if redis.call('EXISTS', ARGV[2] .. id) == 0 then
    redis.call('DEL', ARGV[3] .. id)
    forgotten = forgotten + redis.call('ZREM', KEYS[1], id)
  end
end
return forgotten
