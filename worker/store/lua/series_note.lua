-- Refused where Redis is full: a case can be decided without its timeline, and escalations need the room.
-- Notes a settled segment among the latest of its stream, and reads what a case of it needs. Idempotent.
-- KEYS: latest segments of the stream, its incidents. ARGV: segment as text, its begin in ms, the time for which and
--   the number of segments that are kept, seconds that they are kept, field of the incidents that has the case.
-- Returns {case, version of its series, its series, latest segments}, or {}: no case of the stream is undecided.
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then
  redis.call('DEL', KEYS[1])
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local newest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local newest_ms, begin_ms = tonumber(newest[2]), tonumber(ARGV[2])
if newest_ms - begin_ms > 4 * tonumber(ARGV[3]) then
  -- Redis's clock went back: segments from before would keep newer ones out until it is there again.
  redis.call('DEL', KEYS[1])
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
  newest_ms = begin_ms
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', newest_ms - ARGV[3]))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[4] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[5])
local text = redis.pcall('HGET', KEYS[2], ARGV[6])
local read, case = pcall(cjson.decode, type(text) == 'string' and text or '')
local id = read and type(case) == 'table' and case.case_id
if type(id) ~= 'string' then
  return {}
end
local incidents = redis.pcall('ZREVRANGE', KEY.CASE .. id, 0, 99)
for _, incident in ipairs(incidents.err and {} or incidents) do
  local known = redis.pcall('HMGET', KEY.INCIDENT .. incident, 'raised_ms', 'outcome')
  if not known.err and known[1] and not known[2] then
    local series = redis.pcall('HMGET', KEY.TIMELINE .. id, 'version', 'text')
    if series.err then
      series = {false, false}
    end
    return {id, series[1] or '0', series[2] or '', redis.call('ZRANGE', KEYS[1], 0, -1)}
  end
end
return {}
