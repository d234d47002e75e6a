#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it takes out the changes that the snapshot holds.
-- Puts a snapshot in force, if its writer still has the lease, and forgets the changes that even the one before it holds.
-- KEYS: lease, snapshot in force, stream of changes, times at which lists were refreshed, history.
-- ARGV: token of the lease, name of the snapshot, its watermark, name of a list that is thereby refreshed ('' for none),
--   how many changes it holds that the one before does not, 1 if it holds what no change tells, else 0,
--   its digest if it is in the store ('' if not), acts for the history as a JSON array of JSON texts, how many are kept.
-- Returns 1, or 0 if the lease is lost: nothing was written. A snapshot is put in force once, however often this is sent:
--   its writer, who did not get the answer and has lost the lease meanwhile, would else remove what is in force.
if redis.call('HGET', KEYS[2], 'name') == ARGV[2] then
  return 1
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local time = redis.call('TIME')
local now_ms = string.format('%d%03d', time[1], math.floor(time[2] / 1000))
local previous = redis.call('HGET', KEYS[2], 'watermark') or ''
redis.call('HSET', KEYS[2], 'name', ARGV[2], 'watermark', ARGV[3], 'previous', previous, 'at_ms', now_ms)
redis.call('HINCRBY', KEYS[2], 'changes', -tonumber(ARGV[5]))
redis.call('HINCRBY', KEYS[2], 'edition', ARGV[6])
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[2], 'stored', ARGV[2], 'digest', ARGV[7])
end
note_acts(KEYS[5], cjson.decode(ARGV[8]), ARGV[9])
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[4], ARGV[4], now_ms)
end
if previous ~= '' then
  -- Those after it stay: a process that cannot open the new snapshot makes do with the old one and all changes since.
  redis.call('XTRIM', KEYS[3], 'MINID', previous)
end
return 1
