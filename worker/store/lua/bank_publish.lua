#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it deletes the changes that the snapshot contains.
-- Activates a snapshot, if its writer still has the lease, and deletes the changes that even the previous one contains.
-- KEYS: lease, active snapshot, stream of changes, times at which lists were refreshed, history.
-- ARGV: token of the lease, name of the snapshot, its watermark, name of a list that it refreshes ('' for none), how
--   many changes it contains that the previous one does not, 1 if it contains hashes that are in no change, else 0, its
--   digest if it is in the store ('' if not), acts for the history and the audit log as a JSON array of pairs of JSON
--   texts, how many are kept, author ('' for none), the author's proof (worker/people/tokens.py), whether the author must
--   be of the roster where there is one (1 or 0), look-backs that begin with it as a JSON object (id to record).
-- Returns 1; 0 if the lease is lost, or -1 if the author is not of the roster: nothing was written. A snapshot is
--   activated once, however often this is sent: otherwise a writer that missed the answer and lost the lease meanwhile would remove the active one.
if redis.call('HGET', KEYS[2], 'name') == ARGV[2] then
  return 1
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[12] == '1' and not proven(ARGV[10], ARGV[11]) then
  return -1
end
note_acts(KEYS[5], cjson.decode(ARGV[8]), ARGV[9])
local now_ms = string.format('%.0f', redis_ms())
local previous = redis.call('HGET', KEYS[2], 'watermark') or ''
redis.call('HSET', KEYS[2], 'name', ARGV[2], 'watermark', ARGV[3], 'previous', previous, 'at_ms', now_ms)
redis.call('HINCRBY', KEYS[2], 'changes', -tonumber(ARGV[5]))
redis.call('HINCRBY', KEYS[2], 'edition', ARGV[6])
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[2], 'stored', ARGV[2], 'digest', ARGV[7])
end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[4], ARGV[4], now_ms)
end
for id, record in pairs(cjson.decode(ARGV[13])) do
  local job = cjson.decode(record)
  job.arrived_ms, job.begun_ms = tonumber(now_ms), tonumber(now_ms)
  redis.call('HSET', KEY.LOOKBACK_JOBS, id, cjson.encode(job))
end
if previous ~= '' then
  -- Later ones stay: a process that cannot open the new snapshot uses the old one and all changes since.
  redis.call('XTRIM', KEYS[3], 'MINID', previous)
end
return 1
