#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): a few entries a stream, which are overwritten.
-- Keeps the parameter sets in force after a segment.
-- KEYS: hash of a stream. ARGV: field (media sequence number, modulo the number of fields), entry as JSON, seconds kept.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
