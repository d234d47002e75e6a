-- Takes no room, so Redis runs it where it is full too: it sets an expiry.
-- Renews a lease, if it is still the caller's.
-- KEYS: lease. ARGV: token, milliseconds. Returns 1, or 0 if another process has it or none.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
