--@once
-- Refused where Redis is full: the messages could not be sent.
-- Takes segments whose deadline has passed, and sets a later one, with a delay that doubles each time. Round-robin over
-- streams, so that one with many overdue segments does not delay the others.
-- KEYS: overdue set. ARGV: most segments, first delay in ms, longest delay in ms, prefixes of the pending and tries
--   keys, most that are considered.
-- Returns "stream-id segment-key" of each that is still pending.
local now_ms = redis_ms()
local turns, of_stream = {}, {}
for _, member in ipairs(due_members(KEYS[1], now_ms, ARGV[3], ARGV[6])) do
  -- A foreign member has no pending segment, and is removed below.
  local id = string.match(member, '^[^ ]*')
  local turn = (of_stream[id] or 0) + 1
  of_stream[id] = turn
  turns[turn] = turns[turn] or {}
  table.insert(turns[turn], member)
end
local taken = {}
for _, members in ipairs(turns) do
  for _, member in ipairs(members) do
    if #taken >= tonumber(ARGV[1]) then
      break
    end
    local id, key = string.match(member, '^([^ ]*) ?(.*)$')
    local pending = redis.pcall('HEXISTS', ARGV[4] .. id, key)
    if type(pending) ~= 'number' then
      -- Damaged: checked again later, without stopping the others.
      redis.call('ZADD', KEYS[1], now_ms + ARGV[3], member)
    elseif pending == 0 then
      redis.call('ZREM', KEYS[1], member)
    else
      local sent = redis.call('HINCRBY', ARGV[5] .. member, 'sent_again', 1)
      redis.call('EXPIRE', ARGV[5] .. member, 3600)
      local delay_ms = math.min(ARGV[2] * 2 ^ math.min(sent, 20), tonumber(ARGV[3]))
      redis.call('ZADD', KEYS[1], now_ms + delay_ms, member)
      table.insert(taken, member)
    end
  end
end
return taken
