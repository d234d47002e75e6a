#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): a report starts terms that the law sets.
-- Records a report of a case to an authority; the same report is recorded once.
-- KEYS: reports of the case. ARGV: field, the report as JSON, person, role, proof, seconds that it is kept, most
--   reports, entry of the audit log; the incidents of the case.
-- Returns {'recorded'}, {'already', the report as it was recorded}, {'unproven'} or {'full'}.
local role = proven(ARGV[3], ARGV[5])
if role == nil or (role ~= '' and role ~= ARGV[4]) then
  return {'unproven'}
end
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before then
  return {'already', before}
end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[7]) then
  return {'full'}
end
audit(ARGV[8])
-- An earlier report with a longer term keeps it.
local left = redis.call('TTL', KEYS[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], math.max(left, tonumber(ARGV[6])))
for i = 9, #ARGV do
  redis.call('ZADD', KEY.EVIDENCE_DUE, 0, ARGV[i])
end
return {'recorded'}
