-- Records of evidence. Prepended to every script.

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
