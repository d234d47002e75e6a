#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): one entry that a person names, which may end the flood that fills Redis.
-- Sets or lifts the quarantine of one entry. KEYS: quarantine, history.
-- ARGV: list/entry, JSON of the quarantine ('' lifts it), act for the history as JSON, how many acts are kept.
-- Returns 1, or 0 if there was none to lift.
if ARGV[2] == '' then
  local lifted = redis.call('HDEL', KEYS[1], ARGV[1])
  if lifted == 1 then
    note_acts(KEYS[2], {ARGV[3]}, ARGV[4])
  end
  return lifted
end
note_acts(KEYS[2], {ARGV[3]}, ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
