#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): bounded by the pending segments, as settle is.
-- Writes the changes of a group's incident, unless its state has changed since the caller read it.
-- KEYS: the groups' states, streams of this incident, groups with streams to publish.
-- ARGV: version that the caller read, the group's field, its new state ('' leaves all states, and their version,
--   alone), fields of groups to delete, streams (stream to time of joining), incident {id, severity, queued, fields} or
--   '', events [{stream, incident, text}], the group's member among the groups with streams to publish, when to publish
--   them, how many streams these events contain ('' if none), id of the incident, and capture time of the picture with
--   which a stream joins ('' if none does). Lists and objects as JSON, all numbers as text.
-- Returns 'written', or 'clash': read again.
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then
  return 'clash'
end
if ARGV[3] ~= '' then
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  for _, forgotten in ipairs(cjson.decode(ARGV[4])) do
    redis.call('HDEL', KEYS[1], forgotten)
  end
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
end
for stream, joined_ms in pairs(cjson.decode(ARGV[5])) do
  redis.call('ZADD', KEYS[2], 'NX', joined_ms, stream)
end
if ARGV[12] ~= '' then
  local key = KEY.INCIDENT .. ARGV[11]
  local known = redis.call('HMGET', key, 'captured_first_ms', 'captured_last_ms')
  if known[1] and tonumber(ARGV[12]) < tonumber(known[1]) then
    redis.call('HSET', key, 'captured_first_ms', ARGV[12])
  end
  if known[2] and tonumber(ARGV[12]) > tonumber(known[2]) then
    redis.call('HSET', key, 'captured_last_ms', ARGV[12])
  end
end
if ARGV[6] ~= '' then
  local incident = cjson.decode(ARGV[6])
  write_incident(incident)
  redis.call('ZADD', KEY.OPEN .. incident.severity, incident.fields.raised_ms, incident.id)
end
publish(cjson.decode(ARGV[7]))
if ARGV[6] ~= '' then
  place_in_order(ARGV[11])
end
-- A stream that joined while the events were made is not in them, and is published later.
if ARGV[10] ~= '' and redis.call('ZCARD', KEYS[2]) == tonumber(ARGV[10]) then
  redis.call('ZREM', KEYS[3], ARGV[8])
elseif ARGV[10] ~= '' then
  redis.call('ZADD', KEYS[3], ARGV[9], ARGV[8])
else
  -- A stream that joins later does not delay an earlier publication.
  redis.call('ZADD', KEYS[3], 'LT', ARGV[9], ARGV[8])
end
return 'written'
