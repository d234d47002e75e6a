#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it takes a pending segment out, and what it tells is
-- worth more than all else. Bounded by the segments that are pending, of which there come no more.
-- Ends a segment: what follows from it is written all at once or not at all.
-- KEYS: pending hash, overdue set, stream's incidents, coverage hash, stream hash, windows hash, tries hash.
-- ARGV: segment key, member of the overdue set, version of the incidents that was decided on ('' if nothing was),
--   rule states (field to JSON), incidents [{id, severity, fields, queued}], events [{stream, incident, text}],
--   coverage increments, stream fields; from the rule states on as JSON. All numbers arrive as text: Lua would write
--   large ones as 1.7e+12. Then what rules judged in order remember: series ('' if nothing changes), its state ('' if
--   there is none any more), series that are over as JSON, seconds that it is kept; hits of the segment that
--   are published by now with these as JSON, seconds that they are known. Then, from whoever found something in a segment
--   that another had ended meanwhile, the hits that were published by then ('' from others); the purpose for
--   which the segment was admitted.
-- Returns 'settled', 'late' (the segment was ended before; what follows from hits is written, its account stays as it was),
--   'ended' (likewise, and nothing was written) or 'clash' (read again).
local pending = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if not pending and (ARGV[15] == '' or (redis.call('HGET', KEYS[7], 'hits') or '[]') ~= ARGV[15]) then
  return 'ended'
end
if ARGV[3] ~= '' then
  if (redis.call('HGET', KEYS[3], 'version') or '0') ~= ARGV[3] then
    return 'clash'
  end
  write_incidents(KEYS[3], cjson.decode(ARGV[4]), cjson.decode(ARGV[5]), cjson.decode(ARGV[6]))
  if ARGV[9] ~= '' then
    if ARGV[10] == '' then
      redis.call('HDEL', KEYS[6], ARGV[9])
    else
      redis.call('HSET', KEYS[6], ARGV[9], ARGV[10])
    end
    for _, series in ipairs(cjson.decode(ARGV[11])) do
      redis.call('HDEL', KEYS[6], series)
    end
    redis.call('EXPIRE', KEYS[6], ARGV[12])
  end
end
if not pending then
  redis.call('HSET', KEYS[7], 'hits', ARGV[13])
  redis.call('EXPIRE', KEYS[7], ARGV[14])
  return 'late'
end
local increments = cjson.decode(ARGV[7])
for field, increment in pairs(increments) do
  redis.call('HINCRBY', KEYS[4], field, increment)
end
add_ledger_today(ARGV[16], increments)
-- A stream most of whose newest segment could not be looked at, since when: its playlist goes on, and nobody sees it.
local failed_ms, most_ms, moderated_ms, reason = 0, 0, 0, ''
for field, increment in pairs(increments) do
  local why, ms = string.match(field, '^failed: (.+)$'), tonumber(increment)
  failed_ms = failed_ms + (why and ms or 0)
  moderated_ms = field == 'moderated' and ms or moderated_ms
  if why and ms > most_ms then
    most_ms, reason = ms, why
  end
end
local id = string.match(ARGV[2], '^%S+')
if failed_ms > moderated_ms then
  local time = redis.call('TIME')
  local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('HSETNX', KEYS[5], 'blind_since_ms', now_ms)
  -- Each time: whoever reads the set takes out what was registered anew meanwhile.
  redis.call('ZADD', KEY.STREAMS_BLIND, redis.call('HGET', KEYS[5], 'blind_since_ms'), id)
  redis.call('HSET', KEYS[5], 'blind_reason', reason)
elseif moderated_ms > 0 and redis.call('HDEL', KEYS[5], 'blind_since_ms', 'blind_reason') > 0 then
  redis.call('ZREM', KEY.STREAMS_BLIND, id)
end
for field, value in pairs(cjson.decode(ARGV[8])) do
  -- Segments end in any order: how far the stream is seen never goes back.
  local before = field == 'settled_until_ms' and tonumber(redis.call('HGET', KEYS[5], field))
  if not before or before < tonumber(value) then
    redis.call('HSET', KEYS[5], field, value)
  end
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[7])
if ARGV[13] ~= '[]' then
  redis.call('HSET', KEYS[7], 'hits', ARGV[13])
  redis.call('EXPIRE', KEYS[7], ARGV[14])
end
return 'settled'
