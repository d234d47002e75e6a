-- Functions that are prepended to every script.

-- Redis's time in ms: the only clock with which times in Redis are compared.
local function redis_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Sets fields (field to value) of a hash.
local function set_fields(key, fields)
  for field, value in pairs(fields) do
    redis.call('HSET', key, field, value)
  end
end

-- Runs a script whose first line is `--@once`. A client whose connection breaks before the answer comes repeats the
-- call: the first answer is kept under the last key, which identifies the call, and nothing is done a second time.
local function once(act, kept_seconds)
  local call = table.remove(KEYS)
  local before = redis.call('GET', call)
  if before then
    -- A write, so that a following WAITAOF waits for the first call's writes.
    redis.call('EXPIRE', call, kept_seconds)
    return cmsgpack.unpack(before)
  end
  local answer = act()
  -- The writes of `act` stand even if Redis has no memory for the answer.
  redis.pcall('SET', call, cmsgpack.pack(answer), 'EX', kept_seconds)
  return answer
end

-- Returns whether a time in ms is in the future, but no further than is ever set: a later one is from before Redis's
-- clock went back.
local function still_to_come(at_ms, now_ms, longest_ms)
  local left_ms = (tonumber(at_ms or 0) or 0) - now_ms
  return left_ms > 0 and left_ms <= tonumber(longest_ms)
end

-- The members of a sorted set of times in ms that are due, the earliest first, and after them those that are further in
-- the future than is ever set.
local function due_members(set, now_ms, longest_ms, most)
  local members = redis.call('ZRANGE', set, '-inf', now_ms, 'BYSCORE', 'LIMIT', 0, most)
  if #members < tonumber(most) then
    local beyond = string.format('(%.0f', now_ms + longest_ms)
    for _, member in ipairs(redis.call('ZRANGE', set, beyond, '+inf', 'BYSCORE', 'LIMIT', 0, most - #members)) do
      table.insert(members, member)
    end
  end
  return members
end

-- The number of members that `due_members` would return without its limit.
local function count_due(set, now_ms, longest_ms)
  return redis.call('ZCOUNT', set, '-inf', now_ms)
    + redis.call('ZCOUNT', set, string.format('(%.0f', now_ms + longest_ms), '+inf')
end

-- Returns whether the poll with this token has the stream still: it has not ended, and no other poll has taken the
-- stream. A damaged record is no poll's.
local function poll_has(stream, token)
  local found = redis.pcall('HMGET', stream, 'poll_token', 'polled_token')
  return found[1] == token and found[2] ~= token
end

-- Shortens the life of a key to the longest that is ever set: expiry follows the clock, which may have gone back.
local function expire_within(key, longest_ms)
  if redis.call('PTTL', key) > tonumber(longest_ms) then
    redis.call('PEXPIRE', key, longest_ms)
  end
end

-- The same for the end of a lease in ms in a field of a hash. Returns the end; nil: there is none.
local function lease_within(key, field, now_ms, longest_ms)
  local until_ms = tonumber(redis.call('HGET', key, field) or '')
  if until_ms and until_ms - now_ms > tonumber(longest_ms) then
    until_ms = now_ms + longest_ms
    redis.call('HSET', key, field, until_ms)
  end
  return until_ms
end

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
  local lease_until_ms = lease_within(incident, 'lease_until_ms', now_ms, longest_ms)
  if keeps(known[4], lease_until_ms, needed_role(known[5], known[6]), now_ms) then
    return {'held', known[4], math.ceil((lease_until_ms - now_ms) / 1000)}
  end
  return {'free'}
end

-- Appends an entry, a line of JSON from `audit_entry` (worker/audit/entries.py), to the audit log; '' does nothing. Called
-- before the first write of the act's own script, and after its checks: if it fails, nothing has been done. The chainer
-- links it within seconds, since Lua has no SHA-256; its time is Redis's, the ID.
local function audit(entry)
  if entry ~= '' then
    redis.call('XADD', KEY.AUDIT_UNLINKED, '*', 'entry', entry)
  end
end

-- The same for acts that protect people, and must not wait for the audit log: where it cannot be written (an older
-- version's rules, a damaged key), they go on without a record.
local function try_audit(entry)
  pcall(audit, entry)
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

-- Records acts on the bank, each a pair of JSON texts: the act for its stream, which is trimmed, and the entry of the
-- audit log. Called before the first write of the act itself, as `audit` is.
local function note_acts(stream, acts, kept)
  for _, act in ipairs(acts) do
    audit(act[2])
  end
  for _, act in ipairs(acts) do
    redis.call('XADD', stream, 'MAXLEN', '~', kept, '*', 'act', act[1])
  end
end

-- Stores the finds of a look-back, [{name, stream, segment, record, facts, hits: [{id, text}]}], without hits that were
-- stored before; returns the number of new hits. Texts are not parsed here: Lua would write large numbers as 1.7e+12.
local function note_found(known, found, now_ms, groups)
  local new = 0
  for _, group in ipairs(groups) do
    local texts = {}
    for _, hit in ipairs(group.hits) do
      if redis.call('ZADD', known, 'NX', now_ms, hit.id) == 1 then
        table.insert(texts, hit.text)
      end
    end
    if #texts > 0 then
      new = new + #texts
      redis.call('HSET', found, group.name, cjson.encode({facts = group.facts, segment = group.segment, hits = texts}))
      -- Only pending segments are settled: so a group is raised once, even if a worker dies meanwhile.
      redis.call('HSET', KEY.PENDING .. group.stream, group.segment, group.record)
    end
  end
  return new
end

-- Adds amounts (field to number) to today's totals, which reports use when all else is gone. Names come from policies
-- and lists; however many there are, a day's totals stay small. A key of another type is ignored.
local function add_today(purpose, amounts)
  local key = KEY.DAY_TOTALS .. math.floor(redis.call('TIME')[1] / 86400)
  local size = redis.pcall('HLEN', key)
  if type(size) ~= 'number' then
    return
  end
  for field, amount in pairs(amounts) do
    local name = purpose .. ' ' .. field
    if size >= 4000 and redis.pcall('HEXISTS', key, name) == 0 then
      name = purpose .. ' ' .. string.match(field, '^%S+') .. ' (more)'
    end
    redis.pcall('HINCRBY', key, name, amount)
  end
  redis.pcall('EXPIRE', key, LIFE.DAY_TOTALS, 'NX')
end

-- Adds the increments of the ledger of a stream of this purpose, in milliseconds, to today's totals, without counts.
local function add_ledger_today(purpose, increments)
  local amounts = {}
  for field, increment in pairs(increments) do
    if string.sub(field, 1, 7) ~= 'count: ' then
      amounts['ms ' .. field] = increment
    end
  end
  if next(amounts) then
    add_today(type(purpose) == 'string' and purpose or 'live', amounts)
  end
end

-- Adds a raised or decided incident, or a changed decision, by its event to today's totals: by rule and severity, and
-- by each list.
local function add_event_today(text)
  local ok, event = pcall(cjson.decode, text)
  local what = ok and ({
    ['livewarden.escalation.raised.v1'] = 'raised',
    ['livewarden.decision.made.v1'] = 'decided',
    ['livewarden.decision.revised.v1'] = 'revised',
  })[event.type]
  if not what then
    return
  end
  local data, outcome = event.data, ''
  if what == 'decided' then
    outcome = ' ' .. data.outcome
  elseif what == 'revised' then
    outcome = ' ' .. data.previous_outcome .. ' ' .. data.outcome
  end
  local amounts = {[what .. ' ' .. data.rule .. ' ' .. data.severity .. outcome] = 1}
  for _, match in ipairs(type(data.matches) == 'table' and data.matches or {}) do
    amounts[what .. '-list ' .. match.list .. ' ' .. data.severity .. outcome] = 1
  end
  add_today(data.purpose, amounts)
end

-- Adds an incident's id to those with the same beginning, to complete abbreviated ids, for as long as its record;
-- removes ids without a record. Damaged keys are ignored.
local function note_id(id)
  local alike = KEY.INCIDENT_IDS .. string.sub(id, 1, 4)
  if redis.pcall('SADD', alike, id) == 1 then
    local others = redis.pcall('SMEMBERS', alike)
    for _, other in ipairs(others.err and {} or others) do
      if other ~= id and redis.pcall('TYPE', KEY.INCIDENT .. other).ok == 'none' then
        redis.pcall('SREM', alike, other)
      end
    end
  end
  redis.pcall('EXPIRE', alike, LIFE.INCIDENT_IDS)
end

-- Adds an event {stream, incident, text} to its stream. An escalation's entry is stored with its incident, since a
-- decision acknowledges all of them. Returns whether it is one: copies for operators are not.
local function add_entry(event)
  local entry = redis.call('XADD', event.stream, '*', 'event', event.text)
  if string.sub(event.stream, 1, #KEY.ESCALATIONS) ~= KEY.ESCALATIONS then
    return false
  end
  -- From 0, so that entries from before the group existed are delivered too; fails if it exists.
  redis.pcall('XGROUP', 'CREATE', event.stream, 'moderators', '0')
  -- The newest entry contains all of the earlier ones: of very many the oldest are acknowledged.
  local entries = KEY.INCIDENT .. event.incident .. ':entries'
  if redis.call('RPUSH', entries, event.stream .. ' ' .. entry) > 100 then
    local stream, id = string.match(redis.call('LPOP', entries), '^(%S+) (%S+)$')
    redis.call('XACK', stream, 'moderators', id)
  end
  return true
end

-- Publishes events [{stream, incident, text}] about new findings: each is its incident's newest.
local function publish(events)
  for _, event in ipairs(events) do
    if add_entry(event) then
      redis.call('HSET', KEY.INCIDENT .. event.incident, 'event', event.text)
      note_id(event.incident)
      add_event_today(event.text)
    elseif event.stream == KEY.OPERATIONS then
      -- A canary's, or the copy of a group's: the closing event is made of it.
      redis.call('HSET', KEY.INCIDENT .. event.incident, 'event', event.text)
    end
  end
end

-- Has a worker check soon whether the open incidents of a stream have ended. Other users of Redis may lack the right,
-- or the key be damaged: then that takes minutes.
local function check_ends(id, now_ms)
  redis.pcall('ZADD', KEY.INCIDENT_ENDS, 'XX', 'LT', string.format('%.0f', now_ms), id)
end

-- Writes the record of an incident {id, fields}, and adds it to its case. A damaged case costs no incident.
local function write_incident(incident)
  set_fields(KEY.INCIDENT .. incident.id, incident.fields)
  if (incident.fields.case or '') ~= '' then
    local case = KEY.CASE .. incident.fields.case
    redis.pcall('ZADD', case, 'NX', incident.fields.raised_ms, incident.id)
    redis.pcall('EXPIRE', case, LIFE.CASE)
  end
end

-- Writes the changes of a stream's incidents: rule states (field to JSON), incidents [{id, severity, fields, queued,
-- check_ms: when it may have ended}],
-- events [{stream, incident, text}].
local function write_incidents(key, states, incidents, events)
  redis.call('HINCRBY', key, 'version', 1)
  redis.call('PERSIST', key)
  set_fields(key, states)
  for _, incident in ipairs(incidents) do
    write_incident(incident)
    if incident.check_ms then
      -- A stream without open incidents is not in the set; one that is checked too early is checked again.
      redis.pcall('ZADD', KEY.INCIDENT_ENDS, 'LT', incident.check_ms, incident.fields.stream_id)
    end
    if incident.queued ~= 'yes' then
      -- A canary's: no person decides on it.
      redis.call('EXPIRE', KEY.INCIDENT .. incident.id, LIFE.INCIDENTS)
    else
      for _, severity in ipairs({'critical', 'high', 'review'}) do
        if severity ~= incident.severity then
          redis.call('ZREM', KEY.OPEN .. severity, incident.id)
        end
      end
      redis.call('ZADD', KEY.OPEN .. incident.severity, incident.fields.raised_ms, incident.id)
    end
  end
  publish(events)
end

-- Updates the set of missing streams, by start of the gap, from the stream's hash: `missing_member` is the stream's
-- member now ('' if it is not missing), `missing_listed` its member before.
local function list_missing(stream)
  local found = redis.call('HMGET', stream, 'missing_member', 'missing_since_ms', 'missing_listed', 'missing_from_ms')
  local member, listed = found[1] or '', found[3] or ''
  local since_ms = tonumber(found[4] or '') or tonumber(found[2] or '')
  if listed ~= '' and listed ~= member then
    redis.call('ZREM', KEY.STREAMS_MISSING, listed)
  end
  if member ~= '' and since_ms then
    redis.call('ZADD', KEY.STREAMS_MISSING, since_ms, member)
  end
  redis.call('HSET', stream, 'missing_listed', member)
end

-- Deletes from the record of an unwatched stream what may hold signed tokens, and its listed segments: two thirds of
-- it. `url` is its URL without query.
local function forget_details(stream, url)
  redis.call('HSET', stream, 'url', url)
  redis.call('HDEL', stream, 'media_url', 'tried', 'no_video')
  local cursor = redis.call('HGET', stream, 'cursor')
  if cursor then
    redis.call('HSET', stream, 'cursor', (string.gsub(cursor, '"seen":%[%[.-%]%]', '"seen":[]')))
  end
end

-- Ends a stream's provisional missed time because its watch ends: it counts as missed, or the broadcast is taken to
-- have ended. An operator may end a watch, and must not write ledgers: so it is stored in the stream's hash, for
-- workers. If the stream was not polled in time, with all workers dead or Redis full, time since the last poll is
-- missed (10 s: LATE_POLL_MS in worker/ingest/registry/watch_state.py).
local function end_missing(stream, id, now_ms)
  -- The purpose that it counts for: the stream may have another one when it is added to the ledger.
  redis.call('HSET', stream, 'owed_purpose', redis.call('HGET', stream, 'purpose') or 'live')
  local found = redis.call('HMGET', stream, 'missing_member', 'missing_since_ms', 'missing_kept', 'missing_certain_ms')
  local since_ms = tonumber(found[2] or '')
  if (found[1] or '') == '' or not since_ms then
    local polls = redis.call('HMGET', stream, 'state', 'next_poll_ms', 'last_poll_ms', 'registered_ms')
    local due_ms = tonumber(polls[2] or '')
    local over = not polls[1] or polls[1] == 'ended' or polls[1] == 'removed'
    if not over and due_ms and now_ms - due_ms > 10000 then
      local read_ms = math.max(tonumber(polls[3] or '') or 0, tonumber(polls[4] or '') or 0)
      if read_ms > 0 and read_ms < now_ms then
        redis.call('HINCRBY', stream, 'owed_missed_ms', string.format('%.0f', now_ms - read_ms))
        redis.call('SADD', KEY.STREAMS_OWING, id)
      end
    end
    return
  end
  if found[3] == '1' then
    redis.call('HINCRBY', stream, 'owed_missed_ms', math.max(0, now_ms - since_ms))
  else
    redis.call('HINCRBY', stream, 'owed_after_end', 1)
    redis.call('HINCRBY', stream, 'owed_missed_ms', string.format('%.0f', tonumber(found[4] or '') or 0))
  end
  redis.call('SADD', KEY.STREAMS_OWING, id)
  redis.call('HSET', stream, 'missing_member', '')
  list_missing(stream)
end

-- Gives sealed pictures, [{ref, record}] with records as JSON texts, to an incident; they were candidates of the stream,
-- or are new. Workers carry them from their spools into the store.
local function keep_evidence(incident, stream, items)
  if #items > 0 then
    redis.call('ZADD', KEY.EVIDENCE_DUE, 'NX', 0, incident)
  end
  for _, item in ipairs(items) do
    redis.call('HSET', KEY.EVIDENCE .. incident, item.ref, item.record)
    redis.call('HDEL', KEY.CANDIDATES .. stream, item.ref)
    if redis.call('GET', KEY.EVIDENCE_ITEM .. item.ref) ~= incident .. ' stored' then
      redis.call('SET', KEY.EVIDENCE_ITEM .. item.ref, incident)
      redis.call('ZADD', KEY.EVIDENCE_WAITING, 'NX', string.format('%.0f', redis_ms()), item.ref)
    end
  end
end

-- Takes sealed pictures from an incident; workers delete them from spools and store.
local function drop_evidence(incident, refs)
  for _, ref in ipairs(refs) do
    redis.call('HDEL', KEY.EVIDENCE .. incident, ref)
    redis.call('DEL', KEY.EVIDENCE_ITEM .. ref)
    redis.call('ZREM', KEY.EVIDENCE_WAITING, ref)
    redis.call('HSET', KEY.EVIDENCE_UNWANTED, ref, incident)
  end
end

-- Returns whether the records of incidents that a change to evidence replaces are still those that it was decided on:
-- they are sealed to other recipients, and purged, without the stream's version.
local function evidence_as_read(change)
  for _, one in ipairs(change.kept) do
    local now = redis.pcall('HGET', KEY.EVIDENCE .. one.incident, one.ref) or ''
    -- A table: an error, for the key is foreign.
    if type(now) == 'string' and now ~= one.was then
      return false
    end
  end
  return true
end

-- Writes a change to a stream's evidence: {candidates: {ref: record}, forgotten: [ref], kept: [{incident, ref, was,
-- record}], dropped: [{incident, refs}], contexts: {incident: text}, after: [{incident, slot, ref, record}]}; records
-- are JSON texts.
local function write_evidence(stream, change)
  local candidates, slots = KEY.CANDIDATES .. stream, KEY.CONTEXT .. stream
  for _, ref in ipairs(change.forgotten) do
    redis.call('HDEL', candidates, ref)
  end
  for ref, record in pairs(change.candidates) do
    redis.call('HSET', candidates, ref, record)
    redis.call('EXPIRE', candidates, LIFE.CANDIDATES)
  end
  for _, one in ipairs(change.kept) do
    if one.was == '' then
      keep_evidence(one.incident, stream, {one})
    else
      redis.call('HSET', KEY.EVIDENCE .. one.incident, one.ref, one.record)
    end
  end
  for _, one in ipairs(change.dropped) do
    -- Nothing of an incident on hold goes: it has more than its share then. A hold that cannot be read is one.
    if redis.pcall('HLEN', KEY.EVIDENCE_HOLD .. one.incident) == 0 then
      drop_evidence(one.incident, one.refs)
    end
  end
  for incident, text in pairs(change.contexts) do
    redis.call('HSET', slots, incident, text)
    redis.call('EXPIRE', slots, LIFE.CONTEXT)
  end
  for _, one in ipairs(change.after) do
    local known = redis.call('HMGET', KEY.INCIDENT .. one.incident, 'raised_ms', 'outcome', 'ended')
    if not known[1] or known[2] or known[3] then
      redis.call('HDEL', slots, one.incident)
    -- Two workers may have a picture of the same ten seconds.
    elseif
      redis.call('HEXISTS', slots, one.incident) == 1
      and redis.call('HSETNX', slots, one.incident .. ' ' .. one.slot, one.ref) == 1
    then
      keep_evidence(one.incident, stream, {one})
    end
  end
end

-- The times of signals in the stream's hash, name to ms; none if they are damaged.
local function signal_times(stream)
  local ok, times = pcall(cjson.decode, redis.call('HGET', stream, 'signal_times') or '{}')
  return ok and type(times) == 'table' and times or {}
end

local function signal_is_dated(stream, name)
  return type(signal_times(stream)[name]) == 'string'
end

-- Notes a report of imminent danger that is to be raised, with what its incident needs: it is raised even if the stream's
-- watch ends meanwhile. The time of the first one that is not raised stays: a flood of reports must not put it off.
local function note_danger(waiting, stream, id, now_ms)
  local known = redis.call('HMGET', stream, 'generation', 'purpose')
  redis.call('ZADD', waiting, 'NX', now_ms, id .. ' ' .. (known[1] or '1') .. ' ' .. (known[2] or 'live'))
end

-- Sets the times of signals in the stream's hash (name to ms): of those in `reported`, and of those that have none.
local function date_signals(stream, signals, now_ms, reported)
  local before, times, any = signal_times(stream), {}, false
  for _, name in ipairs(redis.call('HKEYS', signals)) do
    local known = type(before[name]) == 'string' and not reported[name]
    times[name], any = known and before[name] or now_ms, true
  end
  if any then
    redis.call('HSET', stream, 'signal_times', cjson.encode(times))
  end
end

-- Keeps a score of a stream, as number, time in ms and half-life in ms, if it adds more to the stream's risk than the
-- one that is kept, now and later: so the same stays in whatever order they come (config/policy/risk.py `higher_now`).
-- A damaged key must not keep a segment from being settled.
local function keep_score(id, field, value)
  local number, at_ms, half_life_ms = string.match(value, '^(%S+) (%d+) (%d+)$')
  local key = KEY.RISK .. id
  local before = redis.pcall('HGET', key, field)
  local kept, kept_ms = string.match(type(before) == 'string' and before or '', '^(%S+) (%d+)$')
  kept, kept_ms = tonumber(kept or ''), tonumber(kept_ms or '')
  local now_ms = redis_ms()
  local function adds(one, one_ms)
    return one * 2 ^ (math.min(0, one_ms - now_ms) / half_life_ms)
  end
  if kept and kept_ms and adds(kept, kept_ms) >= adds(number, at_ms) then
    return
  end
  local fields = redis.pcall('HLEN', key)
  if before or type(fields) == 'number' and fields < 100 then
    redis.pcall('HSET', key, field, number .. ' ' .. at_ms)
    redis.pcall('EXPIRE', key, LIFE.RISK)
  end
end
