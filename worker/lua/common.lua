-- What stands in front of every script.

-- Keeps acts on the bank, given as JSON texts, in their stream; of very many the oldest go.
local function note_acts(stream, acts, kept)
  for _, act in ipairs(acts) do
    redis.call('XADD', stream, 'MAXLEN', '~', kept, '*', 'act', act)
  end
end

-- Writes down what a look-back found, [{name, stream, segment, record, facts, hits: [{id, text}]}], but for what was told
-- before; gives how many hits are new. Texts are not read here: Lua would write large numbers as 1.7e+12.
local function note_found(told, found, now_ms, groups)
  local new = 0
  for _, group in ipairs(groups) do
    local texts = {}
    for _, hit in ipairs(group.hits) do
      if redis.call('ZADD', told, 'NX', now_ms, hit.id) == 1 then
        table.insert(texts, hit.text)
      end
    end
    if #texts > 0 then
      new = new + #texts
      redis.call('HSET', found, group.name, cjson.encode({facts = group.facts, segment = group.segment, hits = texts}))
      -- What is settled has to be pending: so a group is raised once, whoever dies over it.
      redis.call('HSET', 'lw:pending:' .. group.stream, group.segment, group.record)
    end
  end
  return new
end

-- Puts events [{stream, incident, text}] on their streams. An escalation's entry is noted with its incident: whoever
-- decides acknowledges all of them.
local function publish(events)
  for _, event in ipairs(events) do
    local entry = redis.call('XADD', event.stream, '*', 'event', event.text)
    if string.sub(event.stream, 1, 15) == 'lw:escalations:' then
      -- From 0, so that what was published before the group existed is delivered too; fails if it exists.
      redis.pcall('XGROUP', 'CREATE', event.stream, 'moderators', '0')
      redis.call('HSET', 'lw:incident:' .. event.incident, 'event', event.text)
      redis.call('RPUSH', 'lw:incident:' .. event.incident .. ':entries', event.stream .. ' ' .. entry)
    end
  end
end


-- Keeps the set of streams that are not seen, by since when, as the stream's hash has it: `missing_member` is what stands
-- for the stream now ('' if it is seen), `missing_listed` what stood for it before.
local function list_missing(stream)
  local found = redis.call('HMGET', stream, 'missing_member', 'missing_since_ms', 'missing_listed')
  local member, since_ms, listed = found[1] or '', tonumber(found[2] or ''), found[3] or ''
  if listed ~= '' and listed ~= member then
    redis.call('ZREM', 'lw:streams:missing', listed)
  end
  if member ~= '' and since_ms then
    redis.call('ZADD', 'lw:streams:missing', since_ms, member)
  end
  redis.call('HSET', stream, 'missing_listed', member)
end

-- Ends what a stream misses because its watch ends: it is missed for good, or the broadcast is taken to have ended. Who
-- ends a watch may be an operator, who must not write ledgers: it is noted in the stream's hash, for workers.
local function end_missing(stream, id, now_ms)
  local found = redis.call('HMGET', stream, 'missing_member', 'missing_since_ms', 'missing_kept')
  local since_ms = tonumber(found[2] or '')
  if (found[1] or '') == '' or not since_ms then
    return
  end
  if found[3] == '1' then
    redis.call('HINCRBY', stream, 'owed_missed_ms', math.max(0, now_ms - since_ms))
  else
    redis.call('HINCRBY', stream, 'owed_after_end', 1)
  end
  redis.call('SADD', 'lw:streams:owing', id)
  redis.call('HSET', stream, 'missing_member', '')
  list_missing(stream)
end
