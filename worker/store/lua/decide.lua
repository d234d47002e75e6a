#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): decided incidents are acknowledged, which frees memory.
-- Records a decision, if the incident is undecided, no other person holds it, and its stream's incidents are unchanged.
-- KEYS: incident, its entries, incidents of the stream or of the groups, decisions; for a group's incident its
--   streams; if some of them joined since it was shown also the streams of the new incident that they become, and the
--   groups with streams to publish.
-- ARGV: incident id, person, outcome, note, time in ms, version of the incidents, field of the rule's state, its new
--   state, decision event, stream of the closing event, closing event, longest lease in ms, seconds that the record is
--   kept, token of the take that the caller knows ('' if none), whether to refuse if nothing else does (1 or 0: there
--   is something worse than was shown, or a note is missing), proof of the person, entry of the audit log, token of the
--   judgements that the caller knows ('' if none), the first judge whose judgement counts ('' if none), a request to
--   interrupt the stream ('' if none); for a group's incident how many streams the caller knows; if some joined since, as
--   JSON: the new incident {id, severity, fields}, its events [{stream, incident, text}], its streams (stream to time of
--   joining), and the group's member among the groups with streams to publish.
-- Returns {'decided', whether it asked for the interruption (1 or 0)}, {'unknown'}, {'already', outcome, person}, {'held',
--   person, seconds left}, {'unproven'}, {'role', role, role that is needed}, {'refused'}, or {'clash'}: read again.
local answer = not_held_by(KEYS[1], ARGV[2], redis_ms(), ARGV[12])
if answer and answer[1] ~= 'free' then
  return answer
end
answer = barred(KEYS[1], ARGV[2], ARGV[16])
if answer then
  return answer
end
if (redis.call('HGET', KEYS[3], 'version') or '0') ~= ARGV[6] then
  return {'clash'}
end
if (redis.call('HGET', KEYS[1], 'take_token') or '') ~= ARGV[14] then
  return {'clash'}
end
if (redis.call('HGET', KEYS[1], 'judge_token') or '') ~= ARGV[18] then
  return {'clash'}
end
-- A first judge who was removed meanwhile is no judge.
if ARGV[19] ~= '' and not suffices(role_of(ARGV[19]), 'moderator') then
  return {'clash'}
end
-- The decision does not cover a stream that has joined meanwhile.
if KEYS[5] and redis.call('ZCARD', KEYS[5]) ~= tonumber(ARGV[21]) then
  return {'clash'}
end
if ARGV[15] == '1' then
  return {'refused'}
end
try_audit(ARGV[17])
redis.call('HINCRBY', KEYS[3], 'version', 1)
redis.call('HSET', KEYS[3], ARGV[7], ARGV[8])
redis.call('HDEL', KEYS[1], 'shown', unpack(JUDGING_FIELDS))
if KEYS[6] then
  local incident = cjson.decode(ARGV[22])
  write_incident(incident)
  redis.call('ZADD', KEY.OPEN .. incident.severity, incident.fields.raised_ms, incident.id)
  publish(cjson.decode(ARGV[23]))
  for stream, joined_ms in pairs(cjson.decode(ARGV[24])) do
    redis.call('ZREM', KEYS[5], stream)
    redis.call('ZADD', KEYS[6], joined_ms, stream)
  end
  redis.call('ZREM', KEYS[7], ARGV[25])
end
redis.call('HSET', KEYS[1], 'outcome', ARGV[3], 'decided_by', ARGV[2], 'note', ARGV[4], 'decided_ms', ARGV[5],
  'decisions', ARGV[9])
for _, severity in ipairs(SEVERITIES) do
  redis.call('ZREM', KEY.OPEN .. severity, ARGV[1])
end
local interrupted = ask_interrupt(KEYS[1], KEYS[4], ARGV[20], ARGV[2])
redis.call('XADD', KEYS[4], '*', 'event', ARGV[9])
-- Livewarden skips the closing event, since the incident is decided; it is for other readers.
redis.call('XADD', ARGV[10], '*', 'event', ARGV[11])
for _, entry in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  local stream, id = string.match(entry, '^(%S+) (%S+)$')
  redis.call('XACK', stream, 'moderators', id)
end
redis.call('DEL', KEYS[2])
redis.call('EXPIRE', KEYS[1], ARGV[13])
if KEYS[5] then
  redis.call('EXPIRE', KEYS[5], ARGV[13])
end
-- Last: these may fail, by an older version's ACL rules or damaged keys, and must not leave half a decision.
note_id(ARGV[1])
add_event_today(ARGV[9])
leave_order(ARGV[1])
place_in_order(ARGV[1])
if KEYS[6] then
  place_in_order(cjson.decode(ARGV[22]).id)
end
return {'decided', interrupted}
