#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): a platform may be acting on a decision that was wrong.
-- Changes a decision, if the caller knows the current one.
-- KEYS: incident, decisions, incidents of the stream or of the groups; for a group's incident its streams.
-- ARGV: incident id, person, outcome, note, time in ms, revisions that the caller knows, version of the incidents (''
--   if their state stays as it is), field of the rule's state, its new state, event, seconds that the record is kept,
--   proof of the person, entry of the audit log, a request to interrupt the stream ('' if none), whether only a lead
--   may (1 or 0).
-- Returns {'revised', whether it asked for the interruption (1 or 0)}, {'unproven'}, {'role', role, role that is needed},
--   {'undecided'}, {'changed', outcome, person}: another person was first, or {'clash'}: read again.
local refusal = barred(KEYS[1], ARGV[2], ARGV[12])
if refusal then
  return refusal
end
local role = proven(ARGV[2], ARGV[12])
if ARGV[15] == '1' and not suffices(role, 'lead') then
  return {'role', role, 'lead'}
end
local known = redis.call('HMGET', KEYS[1], 'outcome', 'decided_by', 'revisions', 'decisions')
if not known[1] then
  return {'undecided'}
end
if (known[3] or '0') ~= ARGV[6] then
  return {'changed', known[1], known[2]}
end
if ARGV[7] ~= '' and (redis.call('HGET', KEYS[3], 'version') or '0') ~= ARGV[7] then
  return {'clash'}
end
try_audit(ARGV[13])
if ARGV[7] ~= '' then
  redis.call('HINCRBY', KEYS[3], 'version', 1)
  redis.call('HSET', KEYS[3], ARGV[8], ARGV[9])
end
local decisions = known[4] and known[4] .. '\n' .. ARGV[10] or ARGV[10]
redis.call('HSET', KEYS[1], 'outcome', ARGV[3], 'decided_by', ARGV[2], 'note', ARGV[4], 'decided_ms', ARGV[5],
  'revisions', ARGV[6] + 1, 'decisions', decisions)
local interrupted = ask_interrupt(KEYS[1], KEYS[2], ARGV[14], ARGV[2])
redis.call('XADD', KEYS[2], '*', 'event', ARGV[10])
redis.call('EXPIRE', KEYS[1], ARGV[11])
if KEYS[4] then
  redis.call('EXPIRE', KEYS[4], ARGV[11])
end
note_id(ARGV[1])
add_event_today(ARGV[10])
return {'revised', interrupted}
