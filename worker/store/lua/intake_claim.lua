#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom), since it may be full of messages, which only this removes.
-- Takes a batch of messages from the queue, under a lease; or takes over the batch of a reader whose lease has expired.
-- There is one batch at a time, so that a stream's messages are applied in order. Idempotent.
-- A reader that claims is alive: whatever kept it from finishing before, it was not the message.
-- KEYS: claim, batch, rest, unpublished refusals, then the queue's lists, the most urgent first.
-- ARGV: token of this call, lease in ms, most messages, most bytes, longest message in bytes, bytes that are kept of a
-- longer one, least share of each list in messages, and in bytes, characters of a token that tell its reader.
-- Returns: batch's ID ('' if there is nothing to do), now (ms), when it was taken (ms), how often it was claimed, how
-- many readers began with its first message and never claimed again, how many of it are done, whether there are refusals
-- to publish, then its messages. The batch's ID is the token that took it.
local now_ms = redis_ms()
local unpublished = redis.call('EXISTS', KEYS[4])

local function answer()
  local claim = redis.call('HMGET', KEYS[1], 'batch', 'taken_ms', 'claims', 'tries', 'total')
  local messages = redis.call('LRANGE', KEYS[2], 0, -1)
  local answered = {claim[1], now_ms, tonumber(claim[2]), tonumber(claim[3]), tonumber(claim[4]),
    tonumber(claim[5]) - #messages, unpublished}
  for _, message in ipairs(messages) do
    table.insert(answered, message)
  end
  return answered
end

if redis.call('EXISTS', KEYS[2]) == 1 then
  if redis.call('EXISTS', KEYS[1]) == 0 then
    -- A batch always has a claim; if it were lost, the batch would be blocked indefinitely.
    redis.call('HSET', KEYS[1], 'batch', ARGV[1], 'token', '', 'until_ms', 0, 'taken_ms', now_ms, 'claims', 0, 'tries', 0,
      'began', '', 'total', redis.call('LLEN', KEYS[2]))
  end
  local token, until_ms = unpack(redis.call('HMGET', KEYS[1], 'token', 'until_ms'))
  if token == ARGV[1] then
    return answer()
  end
  -- Tokens of one reader begin alike.
  local own = string.sub(ARGV[1], 1, ARGV[9])
  local began, times = string.gsub(redis.call('HGET', KEYS[1], 'began') or '', own .. '%x* ', '')
  if times > 0 then
    redis.call('HSET', KEYS[1], 'began', began)
    redis.call('HINCRBY', KEYS[1], 'tries', -times)
  end
  if still_to_come(until_ms, now_ms, ARGV[2]) then
    return {'', now_ms, 0, 0, 0, 0, unpublished}
  end
  redis.call('HSET', KEYS[1], 'token', ARGV[1], 'until_ms', now_ms + ARGV[2])
  redis.call('HINCRBY', KEYS[1], 'claims', 1)
  return answer()
end
expire_within(KEYS[3], ARGV[2])
if redis.call('EXISTS', KEYS[3]) == 1 then
  return {'', now_ms, 0, 0, 0, 0, unpublished}
end

local messages_left, bytes_left, total = tonumber(ARGV[3]), tonumber(ARGV[4]), 0
for place = 5, #KEYS do
  -- The least shares of less urgent lists are left for them.
  local others = 0
  for other = place + 1, #KEYS do
    others = others + redis.call('EXISTS', KEYS[other])
  end
  while messages_left > others * ARGV[7] and bytes_left > others * ARGV[8] do
    -- kombu writes on the left and reads from the right. Moved before it is checked: a script that fails in the middle
    -- loses nothing.
    local message = redis.call('LMOVE', KEYS[place], KEYS[2], 'RIGHT', 'RIGHT')
    if not message then
      break
    end
    if #message > tonumber(ARGV[5]) then
      message = '\0' .. #message .. ' ' .. string.sub(message, 1, ARGV[6])
      redis.call('LSET', KEYS[2], -1, message)
    end
    messages_left, bytes_left, total = messages_left - 1, bytes_left - #message, total + 1
  end
end
if total == 0 then
  return {'', now_ms, 0, 0, 0, 0, unpublished}
end
redis.call('HSET', KEYS[1], 'batch', ARGV[1], 'token', ARGV[1], 'until_ms', now_ms + ARGV[2], 'taken_ms', now_ms,
  'claims', 1, 'tries', 0, 'began', '', 'total', total)
return answer()
