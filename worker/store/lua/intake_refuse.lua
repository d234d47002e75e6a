#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom), as intake_claim does.
-- Counts and keeps refused messages, each once, even if several readers read it.
-- KEYS: counts, records, unpublished refusals by reason, the newest by reason, platforms' events, then the mark of each
--   message.
-- ARGV: seconds that marks are kept, how many records and how many of platforms' events are kept, then for each message
--   reason, record and event for its platform ('': none).
-- Returns for each message 1, or 0 if it was counted before.
local new = {}
for place = 6, #KEYS do
  local reason, record, event = unpack(ARGV, 3 * place - 14, 3 * place - 12)
  if redis.call('SET', KEYS[place], 1, 'NX', 'EX', ARGV[1]) then
    redis.call('HINCRBY', KEYS[1], 'refused:' .. reason, 1)
    redis.call('LPUSH', KEYS[2], record)
    redis.call('HINCRBY', KEYS[3], reason, 1)
    redis.call('HSET', KEYS[4], reason, record)
    if event ~= '' then
      redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[3], '*', 'event', event)
    end
    table.insert(new, 1)
  else
    table.insert(new, 0)
  end
end
redis.call('LTRIM', KEYS[2], 0, ARGV[2] - 1)
return new
