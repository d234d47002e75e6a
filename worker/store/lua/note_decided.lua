#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): a few fields a decided incident.
-- Notes a decision with its streams, for their risk; idempotent.
-- ARGV: field of the incident ('decided: PURPOSE INCIDENT'), outcome, time in ms, most of one outcome and purpose that
--   a stream keeps, then the streams.
-- Returns 1.
local of_purpose = string.match(ARGV[1], '^decided: %S+ ')
for place = 5, #ARGV do
  local key = KEY.RISK .. ARGV[place]
  local known = redis.call('TYPE', key).ok
  if known == 'none' or known == 'hash' then
    local before_ms = tonumber(string.match(redis.call('HGET', key, ARGV[1]) or '', ' (%d+)$') or '')
    if not before_ms or before_ms <= tonumber(ARGV[3]) then
      redis.call('HSET', key, ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
    end
    local alike, fields = {}, redis.call('HGETALL', key)
    for at = 1, #fields, 2 do
      local outcome, at_ms = string.match(fields[at + 1], '^(%S+) (%d+)$')
      if string.sub(fields[at], 1, #of_purpose) == of_purpose and outcome == ARGV[2] then
        table.insert(alike, {tonumber(at_ms), fields[at]})
      end
    end
    -- The newest stay; by name where two are of one millisecond.
    table.sort(alike, function(one, other)
      return one[1] > other[1] or one[1] == other[1] and one[2] > other[2]
    end)
    for at = tonumber(ARGV[4]) + 1, #alike do
      redis.call('HDEL', key, alike[at][2])
    end
    redis.call('EXPIRE', key, LIFE.RISK)
  end
end
return 1
