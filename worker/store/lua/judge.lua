#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): the decision that follows frees memory.
-- Records a judgement that decides nothing yet: the first, which waits for a second person, or one that does not agree
-- with it, which waits for a lead. Its judge holds the incident no more. Published is nothing but a request to interrupt.
-- KEYS: incident, its entries, incidents of the stream or of the groups, decisions.
-- ARGV: incident id, person, proof, longest lease in ms, version of the incidents, token of the take that the caller
--   knows ('' if none), token of the judgements that the caller knows ('' if none), newest event that the caller knows,
--   whether to refuse if nothing else does (1 or 0), entry of the audit log, a request to interrupt the stream ('' if
--   none); if a lead decides from now on ('' else): field of the rule's state, its new state, the kept incident if it
--   has ended; fields of the judgement and their values in turn.
-- Returns {'judged', whether it asked for the interruption (1 or 0)}, {'unknown'}, {'already', outcome, person}, {'held',
--   person, seconds left}, {'unproven'}, {'role', role, role that is needed}, {'refused'}, or {'clash'}: read again.
local answer = not_held_by(KEYS[1], ARGV[2], redis_ms(), ARGV[4])
if answer and answer[1] ~= 'free' then
  return answer
end
answer = barred(KEYS[1], ARGV[2], ARGV[3])
if answer then
  return answer
end
local known = redis.call('HMGET', KEYS[1], 'take_token', 'judge_token', 'event')
if (redis.call('HGET', KEYS[3], 'version') or '0') ~= ARGV[5] or (known[1] or '') ~= ARGV[6]
  or (known[2] or '') ~= ARGV[7] or known[3] ~= ARGV[8] then
  return {'clash'}
end
if ARGV[9] == '1' then
  return {'refused'}
end
try_audit(ARGV[10])
if ARGV[12] ~= '' then
  redis.call('HINCRBY', KEYS[3], 'version', 1)
  redis.call('HSET', KEYS[3], ARGV[12], ARGV[13])
end
redis.call('HDEL', KEYS[1], unpack(JUDGING_FIELDS))
if ARGV[14] ~= '' then
  redis.call('HSET', KEYS[1], 'ended_incident', ARGV[14])
end
for i = 15, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
give_back(ARGV[1])
return {'judged', ask_interrupt(KEYS[1], KEYS[4], ARGV[11], ARGV[2])}
