#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): a person is working on the case.
-- Acts on the undecided incidents of a case that a person holds, or held last while nobody has taken them since:
--   renew      the lease lasts its time from now
--   let_go     they are given back
--   leave      the page was closed: the lease ends soon, unless they are kept on purpose or handed over
--   keep       the lease lasts longer, with a reason
--   hand_over  a person who is named may take them, and nobody else, while the lease lasts
--   withdraw   not any more
--   ask_help   a text is shown to all; '' takes it back, which the asker may also do who holds nothing any more
-- An act that the person did just so a moment ago, since when its answer may have been lost, is not recorded again; nor is
-- one that takes back nothing.
-- KEYS: ids that the person holds. ARGV: act, case, person, proof, lease in ms, longest lease in ms, time from now in ms (of
--   keep and leave), text, person who is named, entry of the audit log ('': none).
-- Returns {'done', end of the lease in ms, ids, ids of them that changed since they were shown, ids of the case that nobody
--   holds}, {'unknown'}, {'already', outcome, person}, {'held', person, seconds left}, {'free'}, {'unproven'}, {'role',
--   role, role that is needed}; of a person who is named {'nobody'} or {'unfit', role, role that is needed}.
local act, person, now_ms = ARGV[1], ARGV[3], redis_ms()
if not proven(person, ARGV[4]) then
  return {'unproven'}
end

local own, changed, free, answer = {}, {}, {}, {'unknown'}
for _, incident in ipairs(members_of(ARGV[2])) do
  local key = KEY.INCIDENT .. incident
  if is_incident(incident) then
    local refusal = not_held_by(key, person, now_ms, ARGV[6])
    if not refusal then
      -- What is given back, or was asked, needs no role any more.
      refusal = act ~= 'let_go' and act ~= 'leave' and barred(key, person, ARGV[4]) or nil
    elseif refusal[1] == 'free' then
      table.insert(free, incident)
    end
    local asked = act == 'ask_help' and ARGV[8] == '' and redis.call('HGET', key, 'help_by') == person
    if not refusal or (asked and refusal[1] ~= 'already') then
      table.insert(own, incident)
      local events = redis.call('HMGET', key, 'event', 'shown')
      if events[1] ~= events[2] then
        table.insert(changed, incident)
      end
    elseif answer[1] == 'unknown' or answer[1] == 'already' or refusal[1] == 'held' then
      answer = refusal
    end
  end
end
if #own == 0 then
  return answer
end

if act == 'hand_over' then
  local role = role_of(ARGV[9])
  if not role then
    return {'nobody'}
  end
  for _, incident in ipairs(own) do
    local known = redis.call('HMGET', KEY.INCIDENT .. incident, 'needs_role', 'kept_under')
    local needed = needed_role(known[1], known[2])
    if not suffices(role, needed) then
      return {'unfit', role, needed}
    end
  end
end

-- Returns whether the person did this very act on an incident within the time in which an answer may be lost. A hold that
-- is half over is renewed all the same.
local function is_done(key)
  local before = redis.call('HMGET', key, 'hold_until_ms', 'hold_why', 'handed_to', 'handed_by', 'handed_note',
    'handed_ms', 'help', 'help_by', 'help_ms')
  local done_ms, recent_ms = nil, LIFE.ONCE * 1000
  if act == 'keep' and before[2] == ARGV[8] then
    done_ms, recent_ms = (tonumber(before[1]) or 0) - ARGV[7], math.min(recent_ms, ARGV[7] / 2)
  elseif act == 'hand_over' and before[3] == ARGV[9] and before[4] == person and before[5] == ARGV[8] then
    done_ms = tonumber(before[6])
  elseif act == 'withdraw' then
    return not before[3]
  elseif act == 'ask_help' and ARGV[8] == '' then
    return not before[7]
  elseif act == 'ask_help' and before[7] == ARGV[8] and before[8] == person then
    done_ms = tonumber(before[9])
  end
  return done_ms ~= nil and still_to_come(done_ms + recent_ms, now_ms, recent_ms)
end

local done = {}
for _, incident in ipairs(own) do
  done[incident] = is_done(KEY.INCIDENT .. incident) or nil
end
for _, incident in ipairs(own) do
  if not done[incident] then
    try_audit(ARGV[10])
    break
  end
end
local until_ms = 0
for _, incident in ipairs(own) do
  local key = KEY.INCIDENT .. incident
  if act == 'let_go' then
    give_back(incident)
    redis.pcall('SREM', KEYS[1], incident)
  elseif act == 'leave' then
    local known = redis.call('HMGET', key, 'hold_until_ms', 'handed_to', 'handed_by')
    local lease_until_ms = lease_of(key, now_ms, ARGV[6]) or 0
    local handed = known[2] and known[3] == person
    if not handed and not still_to_come(known[1], now_ms, LIFE.HELD * 1000) then
      lease_until_ms = math.min(lease_until_ms, now_ms + ARGV[7])
      redis.call('HSET', key, 'lease_until_ms', lease_until_ms)
    end
    until_ms = math.max(until_ms, lease_until_ms)
  elseif act == 'ask_help' and ARGV[8] == '' then
    redis.call('HDEL', key, 'help', 'help_by', 'help_ms')
  else
    end_hand_over(key, now_ms, ARGV[6])
    if done[incident] then
      -- As it was the first time.
    elseif act == 'keep' then
      local hold_until_ms = now_ms + ARGV[7]
      redis.call('HSET', key, 'hold_until_ms', hold_until_ms, 'hold_why', ARGV[8], 'lease_until_ms', hold_until_ms)
    elseif act == 'hand_over' then
      redis.call('HSET', key, 'handed_to', ARGV[9], 'handed_by', person, 'handed_note', ARGV[8], 'handed_ms', now_ms)
      -- A take of that person looks there first.
      redis.pcall('SADD', KEY.HELD .. ARGV[9], incident)
      redis.pcall('EXPIRE', KEY.HELD .. ARGV[9], LIFE.HELD)
    elseif act == 'withdraw' then
      redis.call('HDEL', key, unpack(HAND_OVER_FIELDS))
    elseif act == 'ask_help' then
      redis.call('HSET', key, 'help', ARGV[8], 'help_by', person, 'help_ms', now_ms)
    end
    until_ms = math.max(until_ms, renew_lease(key, now_ms, ARGV[5], ARGV[6]))
    redis.pcall('SADD', KEYS[1], incident)
  end
end
redis.pcall('EXPIRE', KEYS[1], LIFE.HELD)
return {'done', until_ms, own, changed, free}
