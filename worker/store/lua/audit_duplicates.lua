#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): a person is working on incidents, and may not go on without it.
-- Appends the entry of one act on several incidents to the audit log, unless the person did this very act on all of them
-- within the time in which an answer may be lost. So it may be sent twice.
-- KEYS: for each incident the act on it, at most 100. ARGV: the entry. Returns 1.
if redis.call('EXISTS', unpack(KEYS)) < #KEYS then
  audit(ARGV[1])
end
for _, act in ipairs(KEYS) do
  -- A write also where the entry is there, so that a following WAITAOF waits for those of the first call. The entry stands
  -- even if Redis has no memory for these.
  redis.pcall('SET', act, '1', 'EX', LIFE.ONCE)
end
return 1
