#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): one entry that a person names, which may end the flood that fills Redis.
-- Sets or lifts the quarantine of one entry. KEYS: quarantine, history.
-- ARGV: list/entry, JSON of the quarantine ('' lifts it), act for the history and the audit log as a JSON array of one
--   pair of JSON texts, how many acts are kept, person, the person's proof (worker/people/tokens.py).
-- Returns 1; 0 if there was none to lift; -1 if there is a roster, and the person is not in it with that proof.
if not proven(ARGV[5], ARGV[6]) then
  return -1
end
if ARGV[2] == '' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
note_acts(KEYS[2], cjson.decode(ARGV[3]), ARGV[4])
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
return 1
