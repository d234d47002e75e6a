--@once
-- Refused where Redis is full: repeated when there is memory.
-- Records whether a worker refuses the current policy file, and publishes changes: a refusal, unless another worker
-- refuses the same; the end of refusals, if no worker refuses any more.
-- KEYS: refusals by worker, stream. ARGV: worker, its refusal or '', now (ms), how long a refusal counts (ms), event.
-- Returns 1 if it was published.
local worker, refused, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
local said = redis.call('HGETALL', KEYS[1])
if refused == '' and #said == 0 then
  return 0
end
local others, known = 0, false
for i = 1, #said, 2 do
  -- A damaged record counts as that of a dead worker.
  local read, what = pcall(cjson.decode, said[i + 1])
  if not read or type(what) ~= 'table' or not tonumber(what.at_ms) then
    what = {at_ms = -math.huge}
  end
  local own = said[i] == worker
  local alive = own or math.abs(now - what.at_ms) <= tonumber(ARGV[4])
  if own or not alive then
    redis.call('HDEL', KEYS[1], said[i])
  else
    others = others + 1
  end
  known = known or (alive and what.refused == refused)
end
if refused ~= '' then
  redis.call('HSET', KEYS[1], worker, cjson.encode({refused = refused, at_ms = now}))
end
if known or (refused == '' and others > 0) then
  return 0
end
redis.call('XADD', KEYS[2], '*', 'event', ARGV[5])
return 1
