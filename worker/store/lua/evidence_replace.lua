-- Refused where Redis is full: a rotation can wait, and goes on where it was.
-- Replaces the record of an incident's sealed picture, unless it has changed since it was read. Sent twice, it does the
-- same again.
-- KEYS: the incident's pictures. ARGV: reference, record as it was read, new record.
-- Returns 1; 0: it has changed.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known ~= ARGV[2] and known ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
