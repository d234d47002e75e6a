#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): three numbers, with which old data is deleted.
-- Follows Redis's clock for retention. A clock that jumped further ahead than it can have gone unseen may be wrong: it
-- counts once it has gone on from there for long enough, in observed steps.
-- KEYS: state of the clock. ARGV: largest jump in ms that counts immediately, time for which a larger one must go on,
--   most of that for each step.
-- Returns {the time that counts in ms, by how much the clock is ahead of it}.
local now_ms = redis_ms()
local most_ms = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[1], 'counts_ms', 'seen_ms', 'went_on_ms')
local counts_ms, seen_ms = tonumber(known[1] or ''), tonumber(known[2] or '')
if counts_ms and now_ms - counts_ms > most_ms then
  local step_ms = now_ms - (seen_ms or now_ms)
  local went_on_ms = 0
  -- After another jump the time begins anew.
  if step_ms >= 0 and step_ms <= most_ms then
    went_on_ms = (tonumber(known[3] or '') or 0) + math.min(step_ms, ARGV[3])
  end
  if went_on_ms < tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[1], 'seen_ms', now_ms, 'went_on_ms', went_on_ms)
    return {counts_ms, now_ms - counts_ms}
  end
end
redis.call('HSET', KEYS[1], 'counts_ms', now_ms)
redis.call('HDEL', KEYS[1], 'seen_ms', 'went_on_ms')
return {now_ms, 0}
