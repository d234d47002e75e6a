#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): decisions free memory.
-- Takes an incident for a person: the most urgent first; among these those that the person holds already, first those
-- that changed since they were shown; then the oldest. With it the person takes the other open incidents of its case
-- that nobody else holds. Incidents that need another role are left to others.
-- A case that is named is taken as well, whatever its turn: all of it that nobody else holds.
-- KEYS: the open sets and then the queue's streams, each the most urgent first; ids that the person holds.
-- ARGV: person, proof, lease in ms, most entries drained per stream, token of this take, longest lease in ms, whether
--   incidents that the person holds are skipped (1 or 0), entry of the audit log, in which the token stands for the
--   incident, and the token after a + for the others that are taken with it; the case that is named, '' if none.
-- Returns {incident, its newest event, end of the lease in ms, whether the person held it already (1 or 0), time in ms at
--   which the person took it, ids of the others that the person holds, others of its case that the person holds as ids
--   and events in turn, the most urgent first}, or {} if there is nothing to take; {'unproven'}: the roster does not have
--   the person with that proof; {'role', role}: people in that role decide nothing. Where a case is named, the reason
--   that nothing of it is given: {'unknown'}, {'already', outcome, person}, {'held', person, seconds left}, {'role', role,
--   role that is needed}, {'judged'}: the person has, and another judges now, or {'damaged'}.
local GROUP, UNHELD = 'moderators', 'unheld'
local now_ms = redis_ms()
local role = proven(ARGV[1], ARGV[2])
if not role then
  return {'unproven'}
elseif not suffices(role, 'moderator') then
  return {'role', role}
end

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
  local read = redis.call('XREADGROUP', 'GROUP', GROUP, UNHELD, 'COUNT', ARGV[4], 'STREAMS', KEYS[i], '>')
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

-- The state of an undecided incident: whether the person holds it, nobody does, and whether it changed since it was
-- shown; nil: it is decided, damaged, needs another role, or another judge.
local function state_of(incident)
  local key = KEY.INCIDENT .. incident
  local known = redis.pcall('HMGET', key, 'holder', 'outcome', 'event', 'shown', 'needs_role', 'kept_under',
    'handed_by', 'handed_to', 'judged_by')
  if known.err or known[2] or judged_already(key, known[9], ARGV[1], role, now_ms) then
    return nil
  end
  local needed = needed_role(known[5], known[6])
  if not suffices(role, needed) then
    return nil
  end
  local kept = keeps(known[1], lease_of(key, now_ms, ARGV[6]), needed, now_ms)
  -- The giver holds what was handed over until the other person takes it, or the lease ends.
  local handed = kept and known[8] and known[7] == known[1]
  return {
    id = incident,
    own = kept and known[1] == ARGV[1],
    handed_on = handed and known[1] == ARGV[1],
    free = not kept or (handed and known[8] == ARGV[1]),
    changed = known[3] ~= known[4],
  }
end

-- The person's incidents; those no longer held are removed from the set.
local held, is_held = {}, {}
local noted = redis.pcall('SMEMBERS', KEYS[7])
for _, incident in ipairs(noted.err and {} or noted) do
  local state = state_of(incident)
  if state and state.own then
    table.insert(held, state)
    is_held[incident] = true
  else
    redis.call('SREM', KEYS[7], incident)
  end
end

local function entries_of(incident)
  local key = KEY.INCIDENT .. incident .. ':entries'
  return redis.call('TYPE', key).ok == 'list' and redis.call('LRANGE', key, 0, -1) or {}
end

local given_until_ms = now_ms + ARGV[3]
local taken = {}

-- Gives an incident to the person; returns its newest event.
local function give(incident, own)
  local key = KEY.INCIDENT .. incident
  local event = redis.call('HGET', key, 'event')
  local lease_until_ms = given_until_ms
  if not own then
    redis.call('HSET', key, 'taken_ms', now_ms)
    forget_hold(key, ARGV[1])
    table.insert(taken, incident)
  elseif redis.call('HGET', key, 'hold_until_ms') then
    lease_until_ms = math.max(lease_until_ms, lease_of(key, now_ms, ARGV[6]) or 0)
  end
  -- `shown`: a decision covers the event that the holder was shown, and nothing that came since.
  redis.call('HSET', key, 'holder', ARGV[1], 'lease_until_ms', lease_until_ms, 'take_token', ARGV[5], 'shown', event or '')
  is_held[incident] = true
  redis.pcall('SADD', KEYS[7], incident)
  redis.pcall('EXPIRE', KEYS[7], LIFE.HELD)
  note_id(incident)
  for _, entry in ipairs(entries_of(incident)) do
    local stream, id = string.match(entry, '^(%S+) (%S+)$')
    -- FORCE: an entry that was not drained above has not been delivered to a consumer yet.
    redis.call('XCLAIM', stream, GROUP, ARGV[1], 0, id, 'FORCE', 'JUSTID')
  end
  return event, lease_until_ms
end

-- Those of the incidents that the person holds, or that are free, the most urgent first, without the one that is named.
-- Only what is in the queue: incidents of canaries are no person's.
local function takable(incidents, incident)
  local rest = {}
  for _, other in ipairs(incidents) do
    for urgency = 1, 3 do
      local raised_ms = other ~= incident and tonumber(redis.call('ZSCORE', KEYS[urgency], other) or '')
      local state = raised_ms and readable(KEY.INCIDENT .. other) and state_of(other)
      if state and (state.own or state.free) then
        state.urgency, state.raised_ms = urgency, raised_ms
        table.insert(rest, state)
        break
      end
    end
  end
  table.sort(rest, function(one, other)
    if one.urgency ~= other.urgency then
      return one.urgency < other.urgency
    elseif one.raised_ms ~= other.raised_ms then
      return one.raised_ms < other.raised_ms
    end
    return one.id < other.id
  end)
  return rest
end

local function deliver(incident, own)
  local rest = takable(case_of(incident), incident)
  local event, lease_until_ms = give(incident, own)
  local in_case = {}
  for _, state in ipairs(rest) do
    local newest = give(state.id, state.own)
    table.insert(in_case, state.id)
    table.insert(in_case, newest)
  end
  if #taken > 0 then
    local first = table.remove(taken, 1)
    local named = string.gsub(ARGV[8], '%+' .. ARGV[5], table.concat(taken, ' '))
    try_audit((string.gsub(named, ARGV[5], first)))
  end
  local others = {}
  for other in pairs(is_held) do
    if other ~= incident then
      table.insert(others, other)
    end
  end
  table.sort(others)
  local taken_ms = tonumber(redis.call('HGET', KEY.INCIDENT .. incident, 'taken_ms') or '') or 0
  return {incident, event, lease_until_ms, own and 1 or 0, taken_ms, others, in_case}
end

-- Why nothing of a case is given to the person, by its most telling incident.
local function refusal_of(incidents)
  local answer = {'unknown'}
  for _, incident in ipairs(incidents) do
    local key = KEY.INCIDENT .. incident
    if is_incident(incident) then
      local why = not_held_by(key, ARGV[1], now_ms, ARGV[6])
      if why and why[1] == 'held' then
        return why
      elseif not why or why[1] == 'free' then
        local judged_by = redis.call('HGET', key, 'judged_by')
        local judged = judged_already(key, judged_by, ARGV[1], role, now_ms)
        answer = barred(key, ARGV[1], ARGV[2]) or (judged and {'judged'}) or {'damaged'}
      elseif answer[1] == 'unknown' then
        answer = why
      end
    end
  end
  return answer
end

if ARGV[9] ~= '' then
  local incidents = members_of(ARGV[9])
  local first = takable(incidents)[1]
  return first and deliver(first.id, first.own) or refusal_of(incidents)
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
  for _, one in ipairs(ARGV[7] == '1' and {} or held) do
    one.raised_ms = tonumber(redis.call('ZSCORE', KEYS[i], one.id) or '')
    if one.raised_ms and not one.handed_on and readable(KEY.INCIDENT .. one.id) and (not first or sooner(one, first)) then
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
      local state = state_of(incident)
      if state then
        -- Version 0.1.0 kept no set of held incidents: one that changed since it was shown is the holder's first.
        local own = state.own and not state.handed_on and ARGV[7] ~= '1' and state.changed and not is_held[incident]
        if (state.free or own) and readable(KEY.INCIDENT .. incident) then
          return deliver(incident, own)
        end
      end
    end
    from = from + 100
  until #incidents < 100
end
return {}
