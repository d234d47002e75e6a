#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it removes a pending segment, and its escalations matter more than all
-- else. Bounded by the pending segments, to which none are added then.
-- Settles a segment: incidents, events and coverage are committed atomically.
-- KEYS: pending hash, overdue set, stream's incidents, coverage hash, stream hash, windows hash, tries hash.
-- ARGV: segment key, member of the overdue set, version of the incidents that the caller read ('' if it changes none),
--   rule states (field to JSON), incidents [{id, severity, fields, queued}], events [{stream, incident, text}],
--   coverage increments, stream fields (with `score: …` and `signal: …` for `keep_score`); from the rule states on as
--   JSON. All numbers arrive as text: Lua would write large ones as 1.7e+12. Then the state of rules that evaluate in order:
--   series ('' if nothing changes), its state ('' if there is none any more), ended series as JSON, seconds that it is
--   kept; hits of the segment that are published with these events or before as JSON, seconds that they are kept. Then,
--   from a worker with hits of a segment that another had settled meanwhile, the hits that were published by then ('' from
--   others); the purpose for which the segment was admitted; the changes to evidence as JSON ('' if there are none).
-- Returns 'settled', 'late' (the segment was settled before; incidents are written, coverage stays as it was), 'ended'
--   (settled before, and nothing was written) or 'clash' (read again).
local pending = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if not pending and (ARGV[15] == '' or (redis.call('HGET', KEYS[7], 'hits') or '[]') ~= ARGV[15]) then
  return 'ended'
end
local id = string.match(ARGV[2], '^%S+')
local evidence = ARGV[17] ~= '' and cjson.decode(ARGV[17]) or nil
if ARGV[3] ~= '' then
  if evidence and not evidence_as_read(evidence) then
    return 'clash'
  end
  if (redis.call('HGET', KEYS[3], 'version') or '0') ~= ARGV[3] then
    return 'clash'
  end
  write_incidents(KEYS[3], cjson.decode(ARGV[4]), cjson.decode(ARGV[5]), cjson.decode(ARGV[6]))
  if ARGV[9] ~= '' then
    if ARGV[10] == '' then
      redis.call('HDEL', KEYS[6], ARGV[9])
    else
      redis.call('HSET', KEYS[6], ARGV[9], ARGV[10])
    end
    for _, series in ipairs(cjson.decode(ARGV[11])) do
      redis.call('HDEL', KEYS[6], series)
    end
    redis.call('EXPIRE', KEYS[6], ARGV[12])
  end
end
if evidence then
  -- A foreign or damaged key of evidence must not keep escalations from being published.
  pcall(write_evidence, id, evidence)
end
if not pending then
  redis.call('HSET', KEYS[7], 'hits', ARGV[13])
  redis.call('EXPIRE', KEYS[7], ARGV[14])
  return 'late'
end
local increments = cjson.decode(ARGV[7])
for field, increment in pairs(increments) do
  redis.call('HINCRBY', KEYS[4], field, increment)
end
add_ledger_today(ARGV[16], increments)
-- Time of the segment that could not be decoded, or costs more than its profile's budget, is lost to moderators.
local lost, moderated_ms = {}, 0
for field, increment in pairs(increments) do
  local why = string.match(field, '^failed: (.+)$') or string.match(field, '^skipped: (.+)$')
  if why then
    lost[why] = (lost[why] or 0) + increment
  elseif field == 'moderated' then
    moderated_ms = tonumber(increment)
  end
end
note_blindness(KEYS[5], id, lost, moderated_ms)
for field, value in pairs(cjson.decode(ARGV[8])) do
  local score = string.match(field, '^score: .+$') or string.match(field, '^signal: .+$')
  if score then
    keep_score(id, score, value)
  end
  -- Segments are settled in any order: the position up to which the stream is settled never goes back.
  local before = field == 'settled_until_ms' and tonumber(redis.call('HGET', KEYS[5], field))
  if not score and (not before or before < tonumber(value)) then
    redis.call('HSET', KEYS[5], field, value)
  end
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[7])
if ARGV[13] ~= '[]' then
  redis.call('HSET', KEYS[7], 'hits', ARGV[13])
  redis.call('EXPIRE', KEYS[7], ARGV[14])
end
return 'settled'
