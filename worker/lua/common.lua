-- What stands in front of every script.

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

