#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): decisions free memory.
-- Takes an incident for a person: the most urgent first; among these those that the person holds already, first those
-- that changed since they were shown; then the oldest.
-- KEYS: the open sets and then the queue's streams, each the most urgent first; ids that the person holds.
-- ARGV: person, lease in ms, most entries drained per stream, token of this take, longest lease in ms, whether
--   incidents that the person holds are skipped (1 or 0).
-- Returns {incident, its newest event, end of the lease in ms, whether the person held it already (1 or 0), ids of the
--   others that the person holds}, or {} if there is nothing to take.
local GROUP, UNHELD = 'moderators', 'unheld'
local now_ms = redis_ms()

local function incident_of(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'event' then
      local ok, event = pcall(cjson.decode, fields[i + 1])
      if ok and type(event) == 'table' and type(event.data) == 'table' then
        return tostring(event.data.incident_id)
      end
    end
  end
  return ''
end

-- New entries go to the holder of their incident; those of decided or unknown incidents are acknowledged.
for i = 4, 6 do
  redis.pcall('XGROUP', 'CREATE', KEYS[i], GROUP, '0', 'MKSTREAM')
  local read = redis.call('XREADGROUP', 'GROUP', GROUP, UNHELD, 'COUNT', ARGV[3], 'STREAMS', KEYS[i], '>')
  for _, entry in ipairs(read and read[1][2] or {}) do
    local known = redis.pcall('HMGET', KEY.INCIDENT .. incident_of(entry[2]), 'raised_ms', 'outcome', 'holder',
      'lease_until_ms')
    if known.err then
      -- Damaged: it stays as it is, and does not block the others.
    elseif not known[1] or known[2] then
      redis.call('XACK', KEYS[i], GROUP, entry[1])
    elseif known[3] and now_ms < (tonumber(known[4] or '') or 0) then
      redis.call('XCLAIM', KEYS[i], GROUP, known[3], 0, entry[1], 'JUSTID')
    end
  end
end

-- The person's incidents; those no longer held are removed from the set.
local held, is_held = {}, {}
local noted = redis.pcall('SMEMBERS', KEYS[7])
for _, incident in ipairs(noted.err and {} or noted) do
  local key = KEY.INCIDENT .. incident
  local known = redis.pcall('HMGET', key, 'holder', 'outcome', 'event', 'shown')
  if not known.err and known[1] == ARGV[1] and not known[2]
    and now_ms < (lease_within(key, 'lease_until_ms', now_ms, ARGV[5]) or 0) then
    table.insert(held, {id = incident, changed = known[3] ~= known[4]})
    is_held[incident] = true
  else
    redis.call('SREM', KEYS[7], incident)
  end
end

local function entries_of(incident)
  local key = KEY.INCIDENT .. incident .. ':entries'
  return redis.call('TYPE', key).ok == 'list' and redis.call('LRANGE', key, 0, -1) or {}
end

local function deliver(incident, again)
  local lease_until_ms = now_ms + ARGV[2]
  local key = KEY.INCIDENT .. incident
  local event = redis.call('HGET', key, 'event')
  -- `shown`: a decision covers the event that the holder was shown, and nothing that came since.
  redis.call('HSET', key, 'holder', ARGV[1], 'lease_until_ms', lease_until_ms, 'take_token', ARGV[4], 'shown', event or '')
  redis.pcall('SADD', KEYS[7], incident)
  redis.call('PEXPIRE', KEYS[7], ARGV[5])
  note_id(incident)
  for _, entry in ipairs(entries_of(incident)) do
    local stream, id = string.match(entry, '^(%S+) (%S+)$')
    -- FORCE: an entry that was not drained above has not been delivered to a consumer yet.
    redis.call('XCLAIM', stream, GROUP, ARGV[1], 0, id, 'FORCE', 'JUSTID')
  end
  local others = {}
  for _, one in ipairs(held) do
    if one.id ~= incident then
      table.insert(others, one.id)
    end
  end
  table.sort(others)
  return {incident, event, lease_until_ms, again and 1 or 0, others}
end

local function sooner(one, other)
  if one.changed ~= other.changed then
    return one.changed
  elseif one.raised_ms ~= other.raised_ms then
    return one.raised_ms < other.raised_ms
  end
  return one.id < other.id
end

for i = 1, 3 do
  local first
  for _, one in ipairs(ARGV[6] == '1' and {} or held) do
    one.raised_ms = tonumber(redis.call('ZSCORE', KEYS[i], one.id) or '')
    if one.raised_ms and readable(KEY.INCIDENT .. one.id) and (not first or sooner(one, first)) then
      first = one
    end
  end
  if first then
    return deliver(first.id, true)
  end
  local from = 0
  repeat
    local incidents = redis.call('ZRANGE', KEYS[i], from, from + 99)
    for _, incident in ipairs(incidents) do
      local key = KEY.INCIDENT .. incident
      local known = redis.pcall('HMGET', key, 'holder', 'outcome', 'event', 'shown')
      if not known.err and not known[2] then
        local holder = known[1]
        local free = not holder or now_ms >= (lease_within(key, 'lease_until_ms', now_ms, ARGV[5]) or 0)
        -- Version 0.1.0 kept no set of held incidents: one that changed since it was shown is the holder's first.
        local his = holder == ARGV[1] and not free and ARGV[6] ~= '1' and known[3] ~= known[4] and not is_held[incident]
        if (free or his) and readable(key) then
          return deliver(incident, his)
        end
      end
    end
    from = from + 100
  until #incidents < 100
end
return {}
