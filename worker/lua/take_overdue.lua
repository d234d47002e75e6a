-- Takes segments whose deadline has passed, and gives each a later one, twice as far each time it is sent again.
-- KEYS: overdue set. ARGV: most segments, first delay in ms, longest delay in ms, prefixes of the pending and tries keys.
-- Returns "stream-id segment-key" of each that is still pending.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now_ms, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
  local space = string.find(member, ' ', 1, true)
  local id, key = string.sub(member, 1, space - 1), string.sub(member, space + 1)
  if redis.call('HEXISTS', ARGV[4] .. id, key) == 0 then
    redis.call('ZREM', KEYS[1], member)
  else
    local sent = redis.call('HINCRBY', ARGV[5] .. member, 'sent_again', 1)
    redis.call('EXPIRE', ARGV[5] .. member, 3600)
    local delay_ms = math.min(ARGV[2] * 2 ^ math.min(sent, 20), tonumber(ARGV[3]))
    redis.call('ZADD', KEYS[1], now_ms + delay_ms, member)
    table.insert(taken, member)
  end
end
return taken
