-- The order of the queue: undecided incidents by their claim on the next person, which worker/queue/case_order.py says in
-- words. It is kept with each write of an incident, so that a take finds the first of 10,000 at once. Prepended to every
-- script.

-- A claim and a time are one score, exact below 2^53.
local CLAIM_MS = 2 ^ 44
local SEVERITIES = {'critical', 'high', 'review'}
local CERTAINTIES, SCORED = {known = 0, reported = 1, score = 2, other = 2, unseen = 3}, 2
local RANK, ENDED = 4, 16

-- Returns whether an incident has not ended, and its certainty; nil: it was decided.
local function ground_of(incident)
  local known = redis.pcall('HMGET', KEY.INCIDENT .. incident, 'ended', 'ground', 'outcome')
  if known.err then
    return true, SCORED
  elseif known[3] then
    return nil
  end
  local ok, ground = pcall(cjson.decode, known[2] or '')
  local kind = ok and type(ground) == 'table' and ground.kind or ''
  return (known[1] or '') == '', CERTAINTIES[kind] or SCORED
end

-- Returns the scores (id to score) of the undecided incidents in the queue of a case, by one of its incidents: each has
-- its own severity, and what its case has of life, certainty and waiting.
local function claims_of(incident, now_ms)
  local members = case_of(incident)
  if #members == 0 then
    members = {incident}
  end
  local ranks, live, certainty, raised_ms = {}, false, SCORED + 1, now_ms
  for _, member in ipairs(members) do
    for place, severity in ipairs(SEVERITIES) do
      local member_ms = redis.call('ZSCORE', KEY.OPEN .. severity, member)
      if member_ms then
        local goes_on, surety = ground_of(member)
        if goes_on ~= nil then
          ranks[member] = (place - 1) * RANK
          live = live or goes_on
          certainty = math.min(certainty, surety)
          raised_ms = math.min(raised_ms, tonumber(member_ms))
        end
        break
      end
    end
  end
  local claims = {}
  for member, rank in pairs(ranks) do
    claims[member] = (rank + certainty + (live and 0 or ENDED)) * CLAIM_MS + math.max(raised_ms, 0)
  end
  return claims
end

-- Returns the number of places in the order, which begins anew if it is of another type; nil: this user of Redis may not
-- read it (an older version's rules), or not begin it anew, which a worker does with the next incident.
local function order_size()
  local placed = redis.pcall('ZCARD', KEY.QUEUE_ORDER)
  if type(placed) == 'number' then
    return placed
  end
  return redis.pcall('DEL', KEY.QUEUE_ORDER) == 1 and 0 or nil
end

local function write_order(incident)
  order_size()
  for member, claim in pairs(claims_of(incident, redis_ms())) do
    redis.call('ZADD', KEY.QUEUE_ORDER, string.format('%.0f', claim), member)
  end
end

-- Puts an incident, and the others of its case, in their places. Last in a script, and it may fail (a damaged key, an
-- older version's rules): a take puts what is missing in its place.
local function place_in_order(incident)
  pcall(write_order, incident)
end

-- Takes an incident that is decided or deleted out of the order.
local function leave_order(incident)
  redis.pcall('ZREM', KEY.QUEUE_ORDER, incident)
end

-- Returns whether a take compares the members of the order with the open incidents, though they are as many: an older
-- version raises some and decides others, and knows no order. Of 10,000 that takes milliseconds, so then it is for one of
-- each `turns`.
local function compares_members(placed, turns)
  local turn = redis.pcall('GET', KEY.QUEUE_TURNS)
  return placed <= 1000 or (type(turn) == 'string' and tonumber(turn) or 0) % turns == 0
end

-- Returns the incident of an entry; nil and the reason if nobody can be given it.
local function incident_of_entry(fields)
  local text
  for i = 1, #fields, 2 do
    if fields[i] == 'event' then
      text = fields[i + 1]
    end
  end
  if not text then
    return nil, 'malformed'
  elseif #text > 1048576 then
    return nil, 'oversized'
  end
  local ok, event = pcall(cjson.decode, text)
  if not ok or type(event) ~= 'table' or type(event.data) ~= 'table' or type(event.data.incident_id) ~= 'string' then
    return nil, 'malformed'
  elseif type(event.type) == 'string' and not string.find(event.type, '%.v1$') then
    return nil, 'newer'
  end
  return event.data.incident_id
end

-- Acknowledges an entry that nobody can be given, and notes where it is, not what is in it. Last comes what may fail: an
-- older version's rules, a damaged key.
local function set_aside(stream, entry, reason, most, now_ms)
  redis.call('XACK', stream, 'moderators', entry[1])
  local size = 0
  for _, part in ipairs(entry[2]) do
    size = size + #part
  end
  local place = {stream = stream, entry = entry[1], reason = reason, bytes = size, at_ms = string.format('%.0f', now_ms)}
  redis.pcall('HINCRBY', KEY.QUEUE_ASIDE_COUNTS, reason, 1)
  redis.pcall('LPUSH', KEY.QUEUE_ASIDE, cjson.encode(place))
  redis.pcall('LTRIM', KEY.QUEUE_ASIDE, 0, most - 1)
end

-- Reads new entries of a stream of the queue: each goes to the holder of its incident, or waits for one; those of decided
-- incidents are acknowledged, and those that nobody can be given are set aside.
local function deliver_new_entries(stream, most, most_aside, now_ms)
  redis.pcall('XGROUP', 'CREATE', stream, 'moderators', '0', 'MKSTREAM')
  local read = redis.call('XREADGROUP', 'GROUP', 'moderators', 'unheld', 'COUNT', most, 'STREAMS', stream, '>')
  for _, entry in ipairs(read and read[1][2] or {}) do
    local incident, reason = incident_of_entry(entry[2])
    local known = incident and redis.pcall('HMGET', KEY.INCIDENT .. incident, 'raised_ms', 'outcome', 'holder',
      'lease_until_ms')
    if not incident then
      set_aside(stream, entry, reason, most_aside, now_ms)
    elseif known.err then
      -- Damaged: it stays as it is, and does not block the others.
    elseif not known[1] then
      set_aside(stream, entry, 'unknown', most_aside, now_ms)
    elseif known[2] then
      redis.call('XACK', stream, 'moderators', entry[1])
    elseif known[3] and now_ms < (tonumber(known[4] or '') or 0) then
      redis.call('XCLAIM', stream, 'moderators', known[3], 0, entry[1], 'JUSTID')
    end
  end
end
