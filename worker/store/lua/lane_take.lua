#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it removes a waiting segment.
-- Takes the oldest waiting segment of the stream with the least start tag, and advances that by the cost of the turn.
-- KEYS: streams by start tag, virtual time.
-- ARGV: prefixes of the waiting segments and of the marks, cost of a turn of unknown length in ms.
-- Returns {stream id, segment key}, or {} if none waits.
while true do
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  if not first[1] then
    return {}
  end
  local id, turn = first[1], tonumber(first[2])
  -- A stream whose keys are damaged loses its turn, and does not block the others.
  local segment = redis.pcall('ZPOPMIN', ARGV[1] .. id)
  if segment[1] then
    local mark = ARGV[2] .. id
    redis.call('SET', KEYS[2], turn)
    local marked = redis.call('TYPE', mark).ok == 'hash'
    local held_ms = marked and tonumber(redis.call('HGET', mark, 'held_ms') or '')
    turn = turn + math.max(held_ms or tonumber(ARGV[3]), 1)
    if marked then
      redis.call('HSET', mark, 'turn', turn)
    end
    if redis.call('EXISTS', ARGV[1] .. id) == 1 then
      redis.call('ZADD', KEYS[1], turn, id)
    else
      redis.call('ZREM', KEYS[1], id)
    end
    return {id, segment[1]}
  end
  redis.call('ZREM', KEYS[1], id)
end
