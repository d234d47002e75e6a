--@once
-- Refused where Redis is full: the look is answered when there is memory, or the person asks again.
-- Ends a look: gives its picture to the incident, or says why there is none.
-- KEYS: the look, its stream's look. ARGV: id of the look, incident id, stream, reference and record of the picture
--   ('' if there is none), reason that there is none, seconds that the stream rests from the end on.
-- Returns 'done', 'failed', or 'gone': the incident or the look is over.
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'waiting' then
  return 'gone'
end
local kept = ARGV[4] ~= ''
local reason = ARGV[6]
if kept and (redis.call('HGET', KEY.INCIDENT .. ARGV[2], 'stream_id') ~= ARGV[3]
  or redis.call('HEXISTS', KEY.FORGETTING, ARGV[3]) == 1) then
  kept, reason = false, 'forgotten'
end
if kept then
  keep_evidence(ARGV[2], ARGV[3], {{ref = ARGV[4], record = ARGV[5]}})
end
redis.call('HSET', KEYS[1], 'state', kept and 'done' or 'failed', 'ref', kept and ARGV[4] or '', 'reason', reason,
  'done_ms', string.format('%.0f', redis_ms()))
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('EXPIRE', KEYS[2], ARGV[7])
end
return kept and 'done' or 'failed'
