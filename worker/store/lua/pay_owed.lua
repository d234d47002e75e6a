#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): two numbers a ledger, and it empties the set.
-- Adds the time noted at the end of watches (`end_missing`) to the ledgers.
-- KEYS: streams with such time. ARGV: most streams, prefixes of the stream hashes and of the ledgers, fields of the
--   ledger for missed time and for broadcasts that had ended.
-- Returns the number of streams.
local ids = redis.call('SRANDMEMBER', KEYS[1], ARGV[1])
for _, id in ipairs(ids) do
  local stream, ledger = ARGV[2] .. id, ARGV[3] .. id
  -- A key of another type, or a value that is no number, is skipped: it must not stop the others.
  local owed = redis.pcall('HMGET', stream, 'owed_missed_ms', 'owed_after_end', 'owed_purpose')
  if not owed.err then
    if owed[1] then
      redis.pcall('HINCRBY', ledger, 'elapsed', owed[1])
      redis.pcall('HINCRBY', ledger, ARGV[4], owed[1])
      add_ledger_today(owed[3], {elapsed = owed[1], [ARGV[4]] = owed[1]})
    end
    if owed[2] then
      redis.pcall('HINCRBY', ledger, ARGV[5], owed[2])
    end
    redis.call('HDEL', stream, 'owed_missed_ms', 'owed_after_end', 'owed_purpose')
  end
  redis.call('SREM', KEYS[1], id)
end
return #ids
