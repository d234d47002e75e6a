#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): its writes are small.
-- Records that the bank is complete again after a loss, with the times at which its lists were refreshed before.
-- Idempotent.
-- KEYS: epoch, times at which lists were refreshed. ARGV: id of the epoch, {list: ms} as JSON.
-- Returns 1, or 0 if there is another epoch by now: nothing was written.
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'bank', 'whole')
for list, ms in pairs(cjson.decode(ARGV[2])) do
  redis.call('HSETNX', KEYS[2], list, ms)
end
return 1
