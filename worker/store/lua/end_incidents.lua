--@once
-- Refused where Redis is full: incidents end when there is memory.
-- Ends incidents of a stream without a decision, if its incidents are unchanged, and notes when to check it again.
-- KEYS: stream's incidents, streams by the time when an incident may have ended. ARGV: stream, version of the incidents
--   that the caller read, rule states (field to JSON), ended incidents [{id, fields}], closing events [{stream,
--   incident, text}], when to check again in ms ('' if no incident is open); lists and objects as JSON.
-- Returns 'written', or 'clash': nothing was written; read again.
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[2] then
  return 'clash'
end
local ended = cjson.decode(ARGV[4])
if #ended > 0 then
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  set_fields(KEYS[1], cjson.decode(ARGV[3]))
  for _, incident in ipairs(ended) do
    set_fields(KEY.INCIDENT .. incident.id, incident.fields)
  end
  -- The newest event of each stays the one about its findings, which a person decides on.
  for _, event in ipairs(cjson.decode(ARGV[5])) do
    add_entry(event)
  end
  for _, incident in ipairs(ended) do
    if redis.pcall('ZSCORE', KEY.QUEUE_ORDER, incident.id) then
      place_in_order(incident.id)
    end
  end
end
if ARGV[6] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[2], ARGV[6], ARGV[1])
end
return 'written'
