-- Takes no room, so Redis runs it where it is full too: it deletes.
-- Releases a lease, if it is still the caller's. KEYS: lease. ARGV: token.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
