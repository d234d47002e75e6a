-- Takes the oldest waiting segment of the stream whose turn it is, and sets the stream's next turn.
-- KEYS: streams by their turn, clock, where this call's answer is kept: sent twice it gives the first answer.
-- ARGV: prefixes of the waiting segments and of the marks, cost of a turn in ms where it is not known, seconds that the
--   answer is kept.
-- Returns {stream id, segment key}, or {} if none waits.
local answered = redis.call('GET', KEYS[3])
if answered then
  return cjson.decode(answered)
end
while true do
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  if not first[1] then
    return {}
  end
  local id, turn = first[1], tonumber(first[2])
  local segment = redis.call('ZPOPMIN', ARGV[1] .. id)
  if segment[1] then
    local mark = ARGV[2] .. id
    redis.call('SET', KEYS[2], turn)
    turn = turn + math.max(tonumber(redis.call('HGET', mark, 'held_ms') or ARGV[3]), 1)
    if redis.call('EXISTS', mark) == 1 then
      redis.call('HSET', mark, 'turn', turn)
    end
    if redis.call('EXISTS', ARGV[1] .. id) == 1 then
      redis.call('ZADD', KEYS[1], turn, id)
    else
      redis.call('ZREM', KEYS[1], id)
    end
    redis.call('SET', KEYS[3], cjson.encode({id, segment[1]}), 'EX', ARGV[4])
    return {id, segment[1]}
  end
  redis.call('ZREM', KEYS[1], id)
end
