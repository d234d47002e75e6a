-- What stands in front of every script.

-- Keeps acts on the bank, given as JSON texts, in their stream; of very many the oldest go.
local function note_acts(stream, acts, kept)
  for _, act in ipairs(acts) do
    redis.call('XADD', stream, 'MAXLEN', '~', kept, '*', 'act', act)
  end
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

