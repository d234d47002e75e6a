#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): decisions free memory.
-- Takes an incident for a person. Of what the person holds already, or was handed over: live ones first, then the more
-- severe, those that changed since they were shown, the oldest. Otherwise, and where it is live or severe above these, the
-- first of the order (shared/queue.lua). Of every four that are taken from the order one is the longest past its wait.
-- With it the person takes the other open incidents of its case that nobody else holds. Incidents that need another role
-- are left to others.
-- A case that is named is taken as well, whatever its turn: all of it that nobody else holds.
-- KEYS: the open sets and then the queue's streams, each the most urgent first; ids that the person holds.
-- ARGV: person, proof, lease in ms, most entries drained per stream, token of this take, longest lease in ms, whether
--   incidents that the person holds are skipped (1 or 0), entry of the audit log, in which the token stands for the
--   incident, and the token after a + for the others that are taken with it; the case that is named, '' if none; the
--   longest waits of the three severities in ms, turns of which one goes to what is past it, most entries kept aside.
-- Returns {incident, its newest event, end of the lease in ms, whether the person held it already (1 or 0), time in ms at
--   which the person took it, ids of the others that the person holds, others of its case that the person holds as ids
--   and events in turn, the most urgent first}, or {} if there is nothing to take; {'unproven'}: the roster does not have
--   the person with that proof; {'role', role}: people in that role decide nothing. Where a case is named, the reason
--   that nothing of it is given: {'unknown'}, {'already', outcome, person}, {'held', person, seconds left}, {'role', role,
--   role that is needed}, {'judged'}: the person has, and another judges now, or {'damaged'}.
local now_ms = redis_ms()
local role = proven(ARGV[1], ARGV[2])
if not role then
  return {'unproven'}
elseif not suffices(role, 'moderator') then
  return {'role', role}
end

for i = 4, 6 do
  deliver_new_entries(KEYS[i], ARGV[4], ARGV[14], now_ms)
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
    id = incident, changed = known[3] ~= known[4],
    own = kept and known[1] == ARGV[1], handed_on = handed and known[1] == ARGV[1],
    handed = handed and known[8] == ARGV[1], free = not kept or (handed and known[8] == ARGV[1]),
  }
end

-- The person's incidents, and those that were handed over to the person; others are removed from the set.
local held, is_held, handed = {}, {}, {}
local noted = redis.pcall('SMEMBERS', KEYS[7])
for _, incident in ipairs(noted.err and {} or noted) do
  local state = state_of(incident)
  if state and state.own then
    table.insert(held, state)
    is_held[incident] = true
  elseif state and state.handed then
    table.insert(handed, state)
  else
    redis.pcall('SREM', KEYS[7], incident)
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
    redis.call('XCLAIM', stream, 'moderators', ARGV[1], 0, id, 'FORCE', 'JUSTID')
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
    table.insert(in_case, state.id)
    table.insert(in_case, (give(state.id, state.own)))
  end
  if #taken > 0 then
    local first = table.remove(taken, 1)
    local named = string.gsub(ARGV[8], '%+' .. ARGV[5], table.concat(taken, ' '))
    try_audit((string.gsub(named, ARGV[5], first)))
  end
  is_held[incident] = nil
  local others = {}
  for other in pairs(is_held) do
    table.insert(others, other)
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
        local judged = judged_already(key, redis.call('HGET', key, 'judged_by'), ARGV[1], role, now_ms)
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

-- Returns the part of a claim that stands for life and severity, without what orders those that are alike.
local function class_of(claim)
  return math.floor(claim / CLAIM_MS / RANK)
end

local function sooner(one, other)
  if one.class ~= other.class then
    return one.class < other.class
  elseif one.own ~= other.own then
    return one.own
  elseif one.changed ~= other.changed then
    return one.changed
  elseif one.raised_ms ~= other.raised_ms then
    return one.raised_ms < other.raised_ms
  end
  return one.id < other.id
end

-- Returns the first of what the person holds, unless another one is asked for, or was handed over; nil: neither.
local function in_hand()
  local first
  for _, states in ipairs({ARGV[7] == '1' and {} or held, handed}) do
    for _, one in ipairs(states) do
      local claim = claims_of(one.id, now_ms)[one.id]
      if claim and not one.handed_on and readable(KEY.INCIDENT .. one.id) then
        one.class, one.raised_ms = class_of(claim), claim % CLAIM_MS
        if not first or sooner(one, first) then
          first = one
        end
      end
    end
  end
  return first
end

-- Puts incidents in their places that an older version wrote, or takes them out. Returns the sets to search: the order, or
-- the open ones, if there is none.
local function places()
  local placed = order_size()
  if not placed then
    return {KEYS[1], KEYS[2], KEYS[3]}
  end
  local waiting, left = 0, 500
  for i = 1, 3 do
    waiting = waiting + redis.call('ZCARD', KEYS[i])
  end
  if placed ~= waiting or compares_members(placed, ARGV[13]) then
    for i = 1, 3 do
      for _, incident in ipairs(redis.call('ZDIFF', 2, KEYS[i], KEY.QUEUE_ORDER)) do
        if left > 0 then
          place_in_order(incident)
          left = left - 1
        end
      end
    end
    for _, incident in ipairs(redis.call('ZDIFF', 4, KEY.QUEUE_ORDER, KEYS[1], KEYS[2], KEYS[3])) do
      leave_order(incident)
    end
  end
  return {KEY.QUEUE_ORDER}
end

-- The free incident with the first claim; nil: there is none. One whose place is older than its claim, for an older version
-- wrote it, is moved.
local function first_free()
  local moved = {}
  for _, set in ipairs(places()) do
    local from, incidents = 0, nil
    repeat
      incidents = redis.call('ZRANGE', set, from, from + 99)
      local again = false
      for _, incident in ipairs(incidents) do
        local state = state_of(incident)
        -- Version 0.1.0 kept no set of held incidents: one that changed since it was shown is the holder's first.
        local own = state and state.own and not state.handed_on and ARGV[7] ~= '1' and state.changed
          and not is_held[incident]
        if state and (state.free or own) and readable(KEY.INCIDENT .. incident) then
          local claim = claims_of(incident, now_ms)[incident]
          local place = tonumber(redis.call('ZSCORE', set, incident))
          if not claim or (set == KEY.QUEUE_ORDER and claim > place and not moved[incident]) then
            leave_order(incident)
            place_in_order(incident)
            moved[incident], again = true, claim ~= nil
            if again then
              break
            end
          else
            return {id = incident, own = own, class = class_of(claim)}
          end
        end
      end
      from = again and from or from + 100
    until #incidents < 100 and not again
  end
  return nil
end

-- The free incident whose case is longest past its wait, as the page has it: since the first of the case was raised, by the
-- severity of the most urgent that is free; nil: none is past.
local function longest_past()
  local first
  for _, life in ipairs({0, ENDED}) do
    for rank = 0, #SEVERITIES * RANK - 1 do
      local wait_ms, class = ARGV[10 + math.floor(rank / RANK)], (life + rank) * CLAIM_MS
      local begin = string.format('%.0f', class)
      local before = string.format('(%.0f', class + math.max((first and first.due_ms or now_ms) - wait_ms, 0))
      local from, found, placed = 0, false, nil
      repeat
        placed = redis.pcall('ZRANGE', KEY.QUEUE_ORDER, begin, before, 'BYSCORE', 'LIMIT', from, 100, 'WITHSCORES')
        for place = 1, #placed, 2 do
          local state = state_of(placed[place])
          if state and state.free and readable(KEY.INCIDENT .. state.id) then
            state.due_ms, first, found = placed[place + 1] - class + wait_ms, state, true
            break
          end
        end
        from = from + 100
      until found or #placed < 200
    end
  end
  return first
end

local mine, first = in_hand(), first_free()
if mine and (not first or mine.class <= first.class) then
  return deliver(mine.id, mine.own)
elseif not first then
  return {}
elseif first.own or mine then
  return deliver(first.id, first.own)
end
-- Turns count what people take who have nothing in hand: to others only what is worse is given.
local turn = redis.pcall('INCR', KEY.QUEUE_TURNS)
local past = type(turn) == 'number' and turn % ARGV[13] == 0 and longest_past()
if past then
  local members = case_of(past.id)
  first = takable(#members > 0 and members or {past.id})[1] or first
end
return deliver(first.id, false)
