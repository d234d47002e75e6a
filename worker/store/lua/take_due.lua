-- Refused where Redis is full: the outcome of a poll could not be written.
-- Takes a batch of streams that are due for a poll, each under a lease, during which no other poll has it.
-- Polls that never ended may have killed their process: the more of them a stream has had in a row, the fewer others
-- are taken with it, so that it is soon alone.
-- KEYS: due set, mark of this batch, epoch. ARGV: most streams, lease in milliseconds, prefix of the stream hashes,
--   longest time in ms for which a stream is not due, time in ms after a loss of state within which streams are
--   registered again, polls begun in a row above which a stream ends its process, lease of such a stream.
-- Returns for each: id, poll token, generation, url, cursor ('' if none), rendition's url ('' if none),
--   failed renditions as JSON ('' if none), rendition without pictures ('' if none), registration time ('' if unknown),
--   purpose, since when it may have been watched in state that was lost ('' if it was not), polls begun in a row, with
--   this one.
-- Sent twice it returns the same streams, as long as they are still this batch's: complete answers, with all cursors,
-- would be too large to keep (`once`).
local now_ms = redis_ms()
local ids = {}

local function most_with(begun)
  return math.max(1, math.floor(ARGV[1] / 4 ^ math.max(0, begun - 1)))
end

local before = redis.call('GET', KEYS[2])
if before then
  for id, token in string.gmatch(before, '(%S+) (%S+)') do
    if redis.call('HGET', ARGV[3] .. id, 'poll_token') == token then
      table.insert(ids, id)
    end
  end
else
  local marks, most = {}, tonumber(ARGV[1])
  for _, id in ipairs(due_members(KEYS[1], now_ms, ARGV[4], ARGV[1])) do
    local stream = ARGV[3] .. id
    local known = redis.call('TYPE', stream).ok
    if known == 'none' then
      redis.call('ZREM', KEYS[1], id)
    elseif known ~= 'hash' then
      redis.call('ZADD', KEYS[1], now_ms + ARGV[2], id)
    else
      most = math.min(most, most_with(tonumber(redis.call('HGET', stream, 'polls_begun') or 0) or 0))
      if #ids >= most then
        break
      end
      redis.call('ZADD', KEYS[1], now_ms + ARGV[2], id)
      -- A token that is no number is skipped: it must not stop the others.
      local token = redis.pcall('HINCRBY', stream, 'poll_token', 1)
      if type(token) == 'number' then
        local begun = redis.pcall('HINCRBY', stream, 'polls_begun', 1)
        if type(begun) == 'number' and begun > tonumber(ARGV[6]) then
          redis.call('ZADD', KEYS[1], now_ms + ARGV[7], id)
        end
        table.insert(ids, id)
        table.insert(marks, id .. ' ' .. token)
      end
    end
  end
  if #ids > 0 then
    redis.call('SET', KEYS[2], table.concat(marks, ' '), 'PX', ARGV[2])
  end
end
local begun_ms, lost_since_ms = unpack(redis.call('HMGET', KEYS[3], 'begun_ms', 'since_ms'))
local taken = {}
for _, id in ipairs(ids) do
  local fields = redis.call('HMGET', ARGV[3] .. id, 'poll_token', 'generation', 'url', 'cursor', 'media_url',
    'tried', 'no_video', 'registered_ms', 'purpose', 'watches', 'polls_begun')
  local row = {id}
  for i = 1, 11 do
    row[i + 1] = fields[i] or ''
  end
  -- After a loss a platform registers its streams again; a stream that it registers long after, or a second time, was
  -- not lost.
  local registered_ms = tonumber(fields[8] or '')
  local lost = lost_since_ms and registered_ms and fields[10] == '1' and registered_ms >= tonumber(lost_since_ms)
    and registered_ms <= begun_ms + ARGV[5]
  row[11] = lost and lost_since_ms or ''
  table.insert(taken, row)
end
return taken
