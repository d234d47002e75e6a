#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): people decide, and what is decided makes room.
-- Takes an incident for a person: the most urgent first, of these the oldest.
-- KEYS: the open sets and then the queue's streams, each the most urgent first.
-- ARGV: who takes, lease in ms, entries drained per stream at most, token of this take, longest lease in ms.
-- Returns {incident, its newest event, end of the lease in ms}, or {} if there is nothing to take.
local GROUP, UNHELD = 'moderators', 'unheld'
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

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

-- New entries go to who holds their incident; those of decided incidents, and what nobody can decide, are passed over.
for i = 4, 6 do
  redis.pcall('XGROUP', 'CREATE', KEYS[i], GROUP, '0', 'MKSTREAM')
  local read = redis.call('XREADGROUP', 'GROUP', GROUP, UNHELD, 'COUNT', ARGV[3], 'STREAMS', KEYS[i], '>')
  for _, entry in ipairs(read and read[1][2] or {}) do
    local known = redis.pcall('HMGET', KEY.INCIDENT .. incident_of(entry[2]), 'raised_ms', 'outcome', 'holder',
      'lease_until_ms')
    if known.err then
      -- Damaged: it stays as it is, and keeps nobody from the others.
    elseif not known[1] or known[2] then
      redis.call('XACK', KEYS[i], GROUP, entry[1])
    elseif known[3] and now_ms < (tonumber(known[4] or '') or 0) then
      redis.call('XCLAIM', KEYS[i], GROUP, known[3], 0, entry[1], 'JUSTID')
    end
  end
end

-- Whether there is something to show; what is damaged is passed over, and `queue list` shows it.
local function readable(key)
  local event = redis.pcall('HGET', key, 'event')
  if type(event) ~= 'string' then
    return false
  end
  local ok, shown = pcall(cjson.decode, event)
  return ok and type(shown) == 'table'
end

local function deliver(incident, entries)
  local lease_until_ms = now_ms + ARGV[2]
  local key = KEY.INCIDENT .. incident
  local event = redis.call('HGET', key, 'event')
  -- `shown`: a decision is for what the holder was given, and for nothing that came since.
  redis.call('HSET', key, 'holder', ARGV[1], 'lease_until_ms', lease_until_ms, 'delivered', #entries, 'take_token',
    ARGV[4], 'shown', event or '')
  for _, entry in ipairs(entries) do
    local stream, id = string.match(entry, '^(%S+) (%S+)$')
    -- FORCE: an entry beyond what was drained above has not been delivered to anybody yet.
    redis.call('XCLAIM', stream, GROUP, ARGV[1], 0, id, 'FORCE', 'JUSTID')
  end
  return {incident, event, lease_until_ms}
end

for i = 1, 3 do
  local from = 0
  repeat
    local incidents = redis.call('ZRANGE', KEYS[i], from, from + 99)
    for _, incident in ipairs(incidents) do
      local key = KEY.INCIDENT .. incident
      local known = redis.pcall('HMGET', key, 'holder', 'delivered')
      if not known.err then
        local holder, delivered = known[1], tonumber(known[2] or '') or 0
        local free = not holder or now_ms >= (lease_within(key, 'lease_until_ms', now_ms, ARGV[5]) or 0)
        local entries = {}
        if (free or holder == ARGV[1]) and redis.call('TYPE', key .. ':entries').ok == 'list' then
          entries = redis.call('LRANGE', key .. ':entries', 0, -1)
        end
        if (free or (holder == ARGV[1] and #entries > delivered)) and readable(key) then
          return deliver(incident, entries)
        end
      end
    end
    from = from + 100
  until #incidents < 100
end
return {}
