#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): it deletes entries.
-- Records how far the audit log is copied into the store, if the caller copied from where it was, and deletes copied
-- entries but for the newest ones. Idempotent: sent twice, it finds its own position.
-- KEYS: head, linked entries. ARGV: position from which the caller copied, its new one, fields of the head as a JSON array
--   [name, value, …], how many of the newest entries are kept.
-- Returns 1, or 0 if another process copied meanwhile: nothing was deleted.
local position = redis.call('HGET', KEYS[1], 'copied_id')
if position ~= ARGV[2] then
  if (position or '0-0') ~= ARGV[1] then
    return 0
  end
  redis.call('HSET', KEYS[1], 'copied_id', ARGV[2], unpack(cjson.decode(ARGV[3])))
end
local excess = redis.call('XLEN', KEYS[2]) - ARGV[4]
if excess > 0 then
  -- In portions: one copy is of fewer entries than that.
  local oldest = redis.call('XRANGE', KEYS[2], '-', ARGV[2], 'COUNT', math.min(excess, 1000))
  for _, entry in ipairs(oldest) do
    redis.call('XDEL', KEYS[2], entry[1])
  end
end
return 1
