--@once
-- Refused where Redis is full: the bank only grows by it; the person gets the error.
-- Puts a picture forward for `confirmed`. KEYS: proposals, history.
-- ARGV: name of the proposal, its JSON, act for the history and the audit log as a JSON array of one pair of JSON texts,
--   how many acts are kept, person, the person's proof (worker/people/tokens.py).
-- Returns 1, or -1 if there is a roster, and the person is not in it with that proof.
if not proven(ARGV[5], ARGV[6]) then
  return -1
end
note_acts(KEYS[2], cjson.decode(ARGV[3]), ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
