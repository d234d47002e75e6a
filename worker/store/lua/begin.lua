#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): bounded by the pending segments, to which none are added then.
-- Begins work on a segment under a lease, and counts the try before the work starts: a pool child that dies leaves the
-- count behind, an orderly end takes it back. Idempotent.
-- KEYS: pending hash, overdue set, tries hash, mark of slow streams, trial, mark of quick streams, segments that wait
--   for the trial's end. ARGV: member of the overdue set, segment key, lease in ms, seconds that the tries are kept, 1
--   if a slow stream's segment may be begun here, longest time of a trial in ms, token of this lease: sent twice, it
--   gets the same answer.
-- Returns {'settled'}, {'leased'}, {'slow'} (not begun: it belongs to the slow queue), {'parked'} (not begun: it is
--   sent when the stream's trial is over), or {'begun', record, tries that never ended, decoder deaths, failed fetches,
--   1 if it is the stream's trial}.
local now_ms = redis_ms()
local record = redis.call('HGET', KEYS[1], ARGV[2])
if not record then
  return {'settled'}
end
local tries = redis.call('HMGET', KEYS[3], 'leased_until_ms', 'token', 'begun', 'deaths', 'fetches', 'trial')

local function answer(begun, trial)
  return {'begun', record, begun - 1, tonumber(tries[4] or 0), tonumber(tries[5] or 0), trial}
end

if tries[2] == ARGV[7] then
  return answer(tonumber(tries[3]), tonumber(tries[6]))
end
if still_to_come(tries[1], now_ms, ARGV[3]) then
  return {'leased'}
end
if ARGV[5] ~= '1' and redis.call('HGET', KEYS[4], 'slow') == '1' then
  return {'slow'}
end
local trial = 0
-- The shared queues fetch one segment at a time of a stream that is not known to be quick.
if ARGV[5] ~= '1' and redis.call('EXISTS', KEYS[6]) == 0 then
  expire_within(KEYS[5], ARGV[6])
  if not redis.call('SET', KEYS[5], ARGV[2], 'NX', 'PX', ARGV[6]) then
    redis.call('ZADD', KEYS[7], 'NX', now_ms, ARGV[2])
    redis.call('EXPIRE', KEYS[7], ARGV[4])
    return {'parked'}
  end
  trial = 1
end
local begun = redis.call('HINCRBY', KEYS[3], 'begun', 1)
redis.call('HSET', KEYS[3], 'leased_until_ms', now_ms + ARGV[3], 'token', ARGV[7], 'trial', trial)
redis.call('EXPIRE', KEYS[3], ARGV[4])
redis.call('ZADD', KEYS[2], now_ms + ARGV[3], ARGV[1])
return answer(begun, trial)
