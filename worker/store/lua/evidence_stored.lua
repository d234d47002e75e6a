#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): it lengthens one value by a word, and frees an entry.
-- Notes that the store has an incident's sealed picture, or that it was found
-- damaged or was dropped. Sent twice, it does the same again.
-- KEYS: the incident's pictures, the picture's incident, pictures that wait for the store.
-- ARGV: incident, reference, `stored`, `damaged` or `dropped`.
-- Returns 1; 0: it was taken from the incident meanwhile.
local known = redis.call('GET', KEYS[2])
if not known or string.match(known, '^%S+') ~= ARGV[1] or redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then
  return 0
end
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[3], 'KEEPTTL')
redis.call('ZREM', KEYS[3], ARGV[2])
return 1
