-- The roster in scripts, and who may decide on what. Prepended to every script.

-- Returns the role of a person in the roster: '' where there is no roster (every role is only stated, and none is
-- enforced), nil if the roster does not have the person. A roster of another type, or that this user of Redis may not
-- read (an older version's rules), is none. `proof` is left out to ask for another person than the caller.
local function role_of(name, proof)
  local people = redis.pcall('HLEN', KEY.PEOPLE)
  if type(people) ~= 'number' or people == 0 then
    return ''
  end
  local ok, person = pcall(cjson.decode, redis.call('HGET', KEY.PEOPLE, name) or '')
  if not ok or type(person) ~= 'table' or type(person.role) ~= 'string' then
    return nil
  elseif proof and (proof == '' or person.proof_sha1 ~= redis.sha1hex(proof)) then
    return nil
  end
  return person.role
end

-- Returns the role in which a person acts, by the roster at this very moment; nil: they have not proved to be that person
-- of the roster (worker/people/tokens.py).
local function proven(name, proof)
  return role_of(name, proof)
end

-- Returns the role that an incident needs, by its fields `needs_role` and `kept_under`. A group of streams of an older
-- version has the latter alone, and is a lead's.
local function needed_role(needs_role, kept_under)
  if needs_role and needs_role ~= '' then
    return needs_role
  end
  return kept_under and 'lead' or 'moderator'
end

-- Returns whether a person in a role (from `role_of`) may take and decide what needs another: a lead may do what a
-- moderator may, and other roles decide nothing.
local function suffices(role, needed)
  return role == '' or role == 'lead' or (role == 'moderator' and needed == 'moderator')
end

-- The answer of scripts if a person may not act on an incident; nil: the roster has the person in a role that suffices.
local function barred(incident, person, proof)
  local role = proven(person, proof)
  if not role then
    return {'unproven'}
  end
  local known = redis.call('HMGET', incident, 'needs_role', 'kept_under')
  local needed = needed_role(known[1], known[2])
  return not suffices(role, needed) and {'role', role, needed} or nil
end

-- Fields of an incident's record that are of judgements on it (worker/queue/second_judge.py).
local JUDGING_FIELDS = {'judgement', 'judged_by', 'judged_on', 'judged_until_ms', 'judgements', 'judge_token'}

-- The longest wait for a second person that settings may state, 7 days (LONGEST_WAIT_MS in worker/queue/second_judge.py).
local LONGEST_JUDGING_MS = 604800000

-- Fields of an incident's record that are of a hand over (`HandOver` in worker/queue/hold_fields.py).
local HAND_OVER_FIELDS = {'handed_to', 'handed_by', 'handed_note', 'handed_ms'}

-- Digest of what an escalation event shows, as `extent_digest` of worker/queue/second_judge.py; '': it is damaged.
local function extent_digest(text)
  local ok, event = pcall(cjson.decode, text or '')
  local data = ok and type(event) == 'table' and event.data
  if type(data) ~= 'table' or type(data.matches) ~= 'table' then
    return ''
  end
  local parts = {tostring(data.severity)}
  for _, match in ipairs(data.matches) do
    table.insert(parts, tostring(match.list) .. ' ' .. tostring(match.entry) .. ' ' .. tostring(match.distance))
  end
  return redis.sha1hex(table.concat(parts, '\n'))
end

-- Returns whether a person has judged an incident, so that another has to judge it now: until worse evidence comes, and
-- for a lead until the wait for a second person is over. `judged_by` is the field of that name, read by the caller.
local function judged_already(incident, judged_by, person, role, now_ms)
  if not judged_by or string.lower(judged_by) ~= string.lower(person) then
    return false
  end
  local known = redis.call('HMGET', incident, 'judged_on', 'judged_until_ms', 'event')
  if known[1] ~= extent_digest(known[3]) then
    return false
  end
  return still_to_come(known[2], now_ms, LONGEST_JUDGING_MS) or not (role == '' or role == 'lead')
end

-- Returns whether an incident has an event to show; a damaged one is skipped here, and `queue list` shows it.
local function readable(incident)
  local event = redis.pcall('HGET', incident, 'event')
  if type(event) ~= 'string' then
    return false
  end
  local ok, shown = pcall(cjson.decode, event)
  return ok and type(shown) == 'table'
end

-- Returns whether an incident has a record: no key, or one of another type, is none.
local function is_incident(id)
  return redis.pcall('TYPE', KEY.INCIDENT .. id).ok == 'hash'
end

-- Returns the ids of an incident's case, its own too; none if it has no case (an older version's), or a damaged one.
local function case_of(incident)
  local case = redis.pcall('HGET', KEY.INCIDENT .. incident, 'case')
  if type(case) ~= 'string' or case == '' then
    return {}
  end
  local incidents = redis.pcall('ZRANGE', KEY.CASE .. case, 0, -1)
  return incidents.err and {} or incidents
end

-- Returns the ids of a case by its id; of an incident that has no case (an older version's) by its own.
local function members_of(case)
  local incidents = redis.pcall('ZRANGE', KEY.CASE .. case, 0, -1)
  if not incidents.err and #incidents > 0 then
    return incidents
  end
  return is_incident(case) and {case} or {}
end

-- Forgets what a holder said of an incident that another person holds now, or nobody: a longer lease, a hand over. The
-- note stays for the person to whom it was handed over.
local function forget_hold(incident, holder)
  redis.call('HDEL', incident, 'hold_until_ms', 'hold_why')
  local known = redis.call('HMGET', incident, 'handed_to', 'handed_by', 'holder')
  if holder == '' or known[1] ~= holder or known[2] ~= known[3] then
    redis.call('HDEL', incident, unpack(HAND_OVER_FIELDS))
  end
end

-- Gives an incident back: its entries in the queue wait for the next holder. Returns their number.
local function give_back(incident)
  local key, entries = KEY.INCIDENT .. incident, KEY.INCIDENT .. incident .. ':entries'
  forget_hold(key, '')
  redis.call('HDEL', key, 'holder', 'lease_until_ms', 'taken_ms')
  local waiting = redis.call('TYPE', entries).ok == 'list' and redis.call('LRANGE', entries, 0, -1) or {}
  for _, entry in ipairs(waiting) do
    local stream, id = string.match(entry, '^(%S+) (%S+)$')
    redis.pcall('XCLAIM', stream, 'moderators', 'unheld', 0, id, 'JUSTID')
  end
  return #waiting
end

-- Roles of holders, read once in a run of a script.
local holder_roles = {}

-- Returns whether a holder's lease, which ends at a time in ms, keeps an incident from others: a person who was removed
-- from the roster, or whose role does not suffice any more, holds nothing.
local function keeps(holder, lease_until_ms, needed, now_ms)
  if not holder or now_ms >= (lease_until_ms or 0) then
    return false
  end
  if holder_roles[holder] == nil then
    holder_roles[holder] = role_of(holder) or false
  end
  return holder_roles[holder] ~= false and suffices(holder_roles[holder], needed)
end

-- The end of an incident's lease in ms; nil: there is none. One that a person lengthened on purpose lasts longer than
-- others at most, and what is beyond is from before Redis's clock went back.
local function lease_of(incident, now_ms, longest_ms)
  local longest = redis.call('HGET', incident, 'hold_until_ms') and LIFE.HELD * 1000 or longest_ms
  return lease_within(incident, 'lease_until_ms', now_ms, longest)
end

-- Withdraws a hand over whose lease has ended; before the lease is renewed, which would offer it anew.
local function end_hand_over(incident, now_ms, longest_ms)
  local known = redis.call('HMGET', incident, 'handed_to', 'holder')
  if known[1] and known[1] ~= known[2] and now_ms >= (lease_of(incident, now_ms, longest_ms) or 0) then
    redis.call('HDEL', incident, unpack(HAND_OVER_FIELDS))
  end
end

-- Has a lease end no sooner than a time from now; a longer one, which its holder asked for, stays until it is over.
-- Returns its end in ms.
local function renew_lease(incident, now_ms, lease_ms, longest_ms)
  local until_ms = now_ms + lease_ms
  local hold_until_ms = tonumber(redis.call('HGET', incident, 'hold_until_ms') or '')
  if hold_until_ms and still_to_come(hold_until_ms, now_ms, LIFE.HELD * 1000) then
    until_ms = math.max(until_ms, lease_of(incident, now_ms, longest_ms) or 0)
  elseif hold_until_ms then
    redis.call('HDEL', incident, 'hold_until_ms', 'hold_why')
  end
  redis.call('HSET', incident, 'lease_until_ms', until_ms)
  return until_ms
end

-- The answer of scripts if a person does not hold an incident; nil: the person holds it, or was the last holder.
local function not_held_by(incident, person, now_ms, longest_ms)
  local known = redis.call('HMGET', incident, 'raised_ms', 'outcome', 'decided_by', 'holder', 'needs_role', 'kept_under')
  if not known[1] then
    return {'unknown'}
  elseif known[2] then
    return {'already', known[2], known[3]}
  elseif known[4] == person then
    return nil
  end
  local lease_until_ms = lease_of(incident, now_ms, longest_ms)
  if keeps(known[4], lease_until_ms, needed_role(known[5], known[6]), now_ms) then
    return {'held', known[4], math.ceil((lease_until_ms - now_ms) / 1000)}
  end
  return {'free'}
end

-- The agreements on a package, as JSON, that stand at this moment: to this content, of the last `life_ms`, each by another
-- person (by the field), who still has the role in which they agreed. Damaged ones are none.
local function standing_agreements(agreements, agreed, life_ms)
  local standing = {}
  for _, text in ipairs(redis.call('HVALS', agreements)) do
    local ok, one = pcall(cjson.decode, text)
    if ok and type(one) == 'table' and type(one.by) == 'string' and one.agreed == agreed
      and still_to_come((tonumber(one.at_ms) or 0) + life_ms, redis_ms(), life_ms) then
      local role = role_of(one.by)
      if role == '' or (one.verified == true and role == one.role) then
        table.insert(standing, text)
      end
    end
  end
  return standing
end
