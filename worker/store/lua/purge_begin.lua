#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees.
-- Begins to delete pictures of an incident whose term is over, if it stands as its caller has read it. Until this ends,
-- no worker carries them into the store; a process that dies meanwhile leaves them noted here, and another one ends it.
-- KEYS: incident, its holds, reports of its case, its evidence. ARGV: incident id, references in one text, holds and
--   reports that the caller has read, fields of the incident's record and their values in turn.
-- Returns 'begun', or 'changed': read again.
if redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[3]) or redis.call('HLEN', KEYS[3]) ~= tonumber(ARGV[4]) then
  return 'changed'
end
for i = 5, #ARGV, 2 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then
    return 'changed'
  end
end
redis.call('HSET', KEY.EVIDENCE_PURGING, ARGV[1], ARGV[2])
for ref in string.gmatch(ARGV[2], '%S+') do
  redis.call('DEL', KEY.EVIDENCE_ITEM .. ref)
  redis.call('ZREM', KEY.EVIDENCE_WAITING, ref)
end
return 'begun'
