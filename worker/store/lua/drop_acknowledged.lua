#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees.
-- Deletes entries of a queue's stream that every group has acknowledged, some with each call. Trimming would stop at
-- the oldest unacknowledged one, such as that of an incident that waits for days.
-- KEYS: stream, position of this deletion. ARGV: id from which on entries stay, most entries that are checked.
-- Returns how many were deleted.
local function parts(id)
  local ms, number = string.match(id, '^(%d+)-?(%d*)$')
  return tonumber(ms), tonumber(number) or 0
end

local function before(one, other)
  local ms, number = parts(one)
  local other_ms, other_number = parts(other)
  return ms < other_ms or (ms == other_ms and number < other_number)
end

local from = redis.call('HGET', KEYS[2], KEYS[1]) or '0-0'
local entries = redis.call('XRANGE', KEYS[1], '(' .. from, '+', 'COUNT', ARGV[2])
if #entries == 0 then
  redis.call('HDEL', KEYS[2], KEYS[1])
  return 0
end
local first, last = entries[1][1], entries[#entries][1]
local kept, read_by_all = {}, nil
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local known = {}
  for place = 1, #group, 2 do
    known[group[place]] = group[place + 1]
  end
  local read = known['last-delivered-id']
  read_by_all = (read_by_all and before(read_by_all, read)) and read_by_all or read
  for _, waiting in ipairs(redis.call('XPENDING', KEYS[1], known.name, first, last, ARGV[2])) do
    kept[waiting[1]] = true
  end
end
local dropped = 0
for _, entry in ipairs(entries) do
  local id = entry[1]
  if read_by_all and not before(read_by_all, id) and not kept[id] and before(id, ARGV[1]) then
    dropped = dropped + redis.call('XDEL', KEYS[1], id)
  end
end
redis.call('HSET', KEYS[2], KEYS[1], last)
return dropped
