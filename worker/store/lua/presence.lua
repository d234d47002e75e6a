#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): one sign a process, which is overwritten.
-- Writes a process's sign of life.
-- KEYS: list of its role, its sign. ARGV: name, sign, life of a sign in ms, time in ms for which a name is listed.
local now_ms = redis_ms()
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[1], now_ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms - ARGV[4])
return 1
