#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees.
-- Ends a purge of an incident: forgets the pictures that are gone, gives those back that are still there, and appends
-- what was deleted to the audit log.
-- KEYS: evidence of the incident. ARGV: incident id, references of those that are gone, in one text, those that stay and
--   are in the store, those that stay and are not, time of the next check in ms, entry of the audit log ('' if nothing
--   is gone).
-- Returns how many pictures are left.
-- First: without a record the purge has not ended, and is ended again.
audit(ARGV[6])
local gone = {}
for ref in string.gmatch(ARGV[2], '%S+') do
  table.insert(gone, ref)
end
drop_evidence(ARGV[1], gone)
for ref in string.gmatch(ARGV[3], '%S+') do
  redis.call('SET', KEY.EVIDENCE_ITEM .. ref, ARGV[1] .. ' stored')
end
for ref in string.gmatch(ARGV[4], '%S+') do
  redis.call('SET', KEY.EVIDENCE_ITEM .. ref, ARGV[1])
  redis.call('ZADD', KEY.EVIDENCE_WAITING, 'NX', string.format('%.0f', redis_ms()), ref)
end
redis.call('HDEL', KEY.EVIDENCE_PURGING, ARGV[1])
local left = redis.call('HLEN', KEYS[1])
if left == 0 then
  redis.call('ZREM', KEY.EVIDENCE_UNREPORTED, ARGV[1])
  redis.call('ZREM', KEY.EVIDENCE_DUE, ARGV[1])
else
  redis.call('ZADD', KEY.EVIDENCE_DUE, ARGV[5], ARGV[1])
end
return left
