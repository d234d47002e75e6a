-- Sets or lifts the quarantine of one entry. KEYS: quarantine. ARGV: list/entry, JSON of the quarantine ('' lifts it).
-- Returns 1, or 0 if there was none to lift.
if ARGV[2] == '' then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
