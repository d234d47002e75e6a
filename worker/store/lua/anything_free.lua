-- Takes no room, so Redis runs it where it is full too: it reads.
-- Returns whether there is an undecided incident without a holder, which `take` would return to a person.
-- KEYS: the open sets. ARGV: longest lease in ms, person, proof. Returns 1 or 0; 1 too where `take` would refuse the
-- person, who learns of it then.
local now_ms = redis_ms()
local role = proven(ARGV[2], ARGV[3])
if not role then
  return 1
end
for _, open in ipairs(KEYS) do
  for _, incident in ipairs(redis.call('ZRANGE', open, 0, -1)) do
    local key = KEY.INCIDENT .. incident
    local known = redis.pcall('HMGET', key, 'outcome', 'holder', 'lease_until_ms', 'needs_role', 'kept_under',
      'hold_until_ms', 'handed_to', 'handed_by', 'judged_by')
    if not known.err and not known[1] and not judged_already(key, known[9], ARGV[2], role, now_ms) then
      local needed = needed_role(known[4], known[5])
      -- Redis's clock may have gone back: a lease that `take` would shorten counts as over.
      local longest_ms = known[6] and LIFE.HELD * 1000 or ARGV[1]
      local kept = still_to_come(known[3], now_ms, longest_ms) and keeps(known[2], tonumber(known[3]), needed, now_ms)
      local handed = known[7] == ARGV[2] and known[8] == known[2]
      if (not kept or handed) and suffices(role, needed) and readable(key) then
        return 1
      end
    end
  end
end
return 0
