#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom), as intake_claim does.
-- Deletes the first messages of a batch, which are applied or refused; renews the holder's lease, and notes that it
-- begins with the next one, or releases it. Two readers of one batch may both send it: deletion goes by the batch's ID
-- and index.
-- KEYS: claim, batch, rest, counts. ARGV: batch's ID, token of the claim, how many of the batch are done since it was
-- taken, lease in ms (0: released; it did not die with the next message), pause of all readers in ms once this batch is
-- done.
-- Returns 1 if the caller may go on with the rest, or 0: nothing is left, or another reader has it.
local batch, token, total = unpack(redis.call('HMGET', KEYS[1], 'batch', 'token', 'total'))
if batch ~= ARGV[1] then
  return 0
end
local new = ARGV[3] - (total - redis.call('LLEN', KEYS[2]))
if new > 0 then
  redis.call('LTRIM', KEYS[2], new, -1)
  redis.call('HINCRBY', KEYS[4], 'read', new)
  redis.call('HSET', KEYS[1], 'tries', 0, 'began', '')
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[1])
  if tonumber(ARGV[5]) > 0 then
    redis.call('SET', KEYS[3], 1, 'PX', ARGV[5])
  end
  return 0
end
if token ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'until_ms', redis_ms() + ARGV[4])
local began, times = string.gsub(redis.call('HGET', KEYS[1], 'began') or '', ARGV[2] .. ' ', '')
if ARGV[4] ~= '0' then
  began, times = began .. ARGV[2] .. ' ', times - 1
end
redis.call('HSET', KEYS[1], 'began', began)
redis.call('HINCRBY', KEYS[1], 'tries', -times)
return 1
