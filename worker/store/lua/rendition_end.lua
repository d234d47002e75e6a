#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): it shortens a rest. Idempotent.
-- Ends the audit of a stream's other rendition. KEYS: rest. ARGV: token of the audit, rest after it in ms; 0: none. Returns 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
