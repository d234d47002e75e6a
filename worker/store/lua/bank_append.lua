--@once
-- Refused where Redis is full: the bank only grows by it; the caller gets the error.
-- Appends changes of the bank, all or none, in order.
-- KEYS: stream of changes, times at which lists were refreshed, snapshot in force, history.
-- ARGV: their author, changes as a JSON array of JSON texts, name of the list that they refresh ('' for none), acts for
--   the history and the audit log as a JSON array of pairs of JSON texts, how many acts are kept, the author's proof
--   (worker/people/tokens.py), whether the author must be of the roster where there is one (1 or 0).
-- Returns {ids of the changes, Redis's time in ms}, or {}: the author must be of the roster, and is not. Nothing was
--   written.
if ARGV[7] == '1' and not proven(ARGV[1], ARGV[6]) then
  return {}
end
local now_ms = string.format('%.0f', redis_ms())
note_acts(KEYS[4], cjson.decode(ARGV[4]), ARGV[5])
local ids = {}
for _, change in ipairs(cjson.decode(ARGV[2])) do
  table.insert(ids, redis.call('XADD', KEYS[1], '*', 'change', change, 'by', ARGV[1]))
end
redis.call('HINCRBY', KEYS[3], 'changes', #ids)
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[3], now_ms)
end
return {ids, now_ms}
