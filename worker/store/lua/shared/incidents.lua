-- Incidents, and their entries in the queue. Prepended to every script.

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
-- decision acknowledges all of them. Returns whether it is one: copies for operators are not; and the ID of the entry.
local function add_entry(event)
  local entry = redis.call('XADD', event.stream, '*', 'event', event.text)
  if string.sub(event.stream, 1, #KEY.ESCALATIONS) ~= KEY.ESCALATIONS then
    return false, entry
  end
  -- From 0, so that entries from before the group existed are delivered too; fails if it exists.
  redis.pcall('XGROUP', 'CREATE', event.stream, 'moderators', '0')
  -- The newest entry contains all of the earlier ones: of very many the oldest are acknowledged.
  local entries = KEY.INCIDENT .. event.incident .. ':entries'
  if redis.call('RPUSH', entries, event.stream .. ' ' .. entry) > 100 then
    local stream, id = string.match(redis.call('LPOP', entries), '^(%S+) (%S+)$')
    redis.call('XACK', stream, 'moderators', id)
  end
  return true, entry
end

-- Publishes a person's request to interrupt a stream ('' does nothing), once an incident, and keeps the ID of its entry.
-- Returns 1 if it was published now, or 0.
local function ask_interrupt(incident, decisions, text, person)
  if text == '' or redis.call('HGET', incident, 'interrupt_entry') then
    return 0
  end
  local entry = redis.call('XADD', decisions, '*', 'event', text)
  redis.call('HSET', incident, 'interrupt_entry', entry, 'interrupt_by', person)
  return 1
end

-- Publishes events [{stream, incident, text}] about new findings: each is its incident's newest.
local function publish(events)
  for _, event in ipairs(events) do
    local is_escalation, entry = add_entry(event)
    if is_escalation then
      redis.call('HSET', KEY.INCIDENT .. event.incident, 'event', event.text)
      note_id(event.incident)
      add_event_today(event.text)
    elseif event.stream == KEY.OPERATIONS then
      -- A canary's, or the copy of a group's: the closing event is made of it.
      redis.call('HSET', KEY.INCIDENT .. event.incident, 'event', event.text)
    elseif event.stream == KEY.DECISIONS then
      -- The policy asks for an interruption.
      redis.call('HSET', KEY.INCIDENT .. event.incident, 'policy_interrupt_entry', entry)
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
      for _, severity in ipairs(SEVERITIES) do
        if severity ~= incident.severity then
          redis.call('ZREM', KEY.OPEN .. severity, incident.id)
        end
      end
      redis.call('ZADD', KEY.OPEN .. incident.severity, incident.fields.raised_ms, incident.id)
    end
  end
  publish(events)
  for _, incident in ipairs(incidents) do
    if incident.queued == 'yes' then
      place_in_order(incident.id)
    end
  end
end
