#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): three numbers, by which what is old makes room.
-- Follows Redis's clock for what is deleted by its age. A clock that lies further ahead of its last time than it can have
-- gone unseen for may be wrong: it counts once it has gone on from there for long enough, in the steps that are seen.
-- KEYS: what is known of the clock. ARGV: how far ahead it counts at once in ms, for how long one that is further ahead has
--   to go on, most of that by each step.
-- Returns {the time that counts in ms, by how much the clock is ahead of it}.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local most_ms = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[1], 'counts_ms', 'seen_ms', 'went_on_ms')
local counts_ms, seen_ms = tonumber(known[1] or ''), tonumber(known[2] or '')
if counts_ms and now_ms - counts_ms > most_ms then
  local step_ms = now_ms - (seen_ms or now_ms)
  local went_on_ms = 0
  -- From where it jumped once more it has to go on anew.
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
