-- Takes a batch of streams that are due for a poll, each under a lease: until it is over, nobody else polls them.
-- KEYS: due set. ARGV: most streams, lease in milliseconds, prefix of the stream hashes.
-- Returns for each: id, poll token, generation, url, cursor ('' if none), risk prior, rendition's url ('' if none).
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now_ms, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
  local stream = ARGV[3] .. id
  if redis.call('EXISTS', stream) == 0 then
    redis.call('ZREM', KEYS[1], id)
  else
    redis.call('ZADD', KEYS[1], now_ms + ARGV[2], id)
    local token = redis.call('HINCRBY', stream, 'poll_token', 1)
    local fields = redis.call('HMGET', stream, 'generation', 'url', 'cursor', 'risk_prior', 'media_url')
    table.insert(taken, {id, token, fields[1], fields[2], fields[3] or '', fields[4], fields[5] or ''})
  end
end
return taken
