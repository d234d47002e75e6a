-- Keeps the earliest time from which on changes are to be taken up again. KEYS: that time. ARGV: a time in ms.
local kept = redis.call('GET', KEYS[1])
if not kept or tonumber(ARGV[1]) < tonumber(kept) then
  redis.call('SET', KEYS[1], ARGV[1])
end
return 1
