#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees.
-- Deletes the record of an incident whose stream is being erased, and every mention of it in the queue's sets.
-- KEYS: incident. ARGV: incident id, its case, stream.
-- Returns 1, or 0: its evidence is still there, or its stream is not being erased.
if redis.call('HEXISTS', KEY.FORGETTING, ARGV[3]) == 0 or redis.call('HLEN', KEY.EVIDENCE .. ARGV[1]) > 0 then
  return 0
end
local holder = redis.pcall('HGET', KEYS[1], 'holder')
if type(holder) == 'string' then
  redis.pcall('SREM', KEY.HELD .. holder, ARGV[1])
end
for _, severity in ipairs({'critical', 'high', 'review'}) do
  redis.call('ZREM', KEY.OPEN .. severity, ARGV[1])
end
leave_order(ARGV[1])
redis.pcall('SREM', KEY.INCIDENT_IDS .. string.sub(ARGV[1], 1, 4), ARGV[1])
redis.pcall('ZREM', KEY.CASE .. ARGV[2], ARGV[1])
redis.call('ZREM', KEY.EVIDENCE_DUE, ARGV[1])
redis.call('ZREM', KEY.EVIDENCE_UNREPORTED, ARGV[1])
redis.call('DEL', KEYS[1], KEY.INCIDENT .. ARGV[1] .. ':entries', KEY.INCIDENT .. ARGV[1] .. ':streams',
  KEY.EVIDENCE .. ARGV[1], KEY.EVIDENCE_HOLD .. ARGV[1], KEY.REPORTS .. ARGV[1])
if redis.call('EXISTS', KEY.CASE .. ARGV[2]) == 0 then
  redis.call('DEL', KEY.REPORTS .. ARGV[2], KEY.TIMELINE .. ARGV[2])
end
return 1
