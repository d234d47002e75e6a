-- Takes no room, so Redis runs it where it is full too: it reads.
-- Returns whether there is an undecided incident without a holder, which `take` would return.
-- KEYS: the open sets. ARGV: longest lease in ms. Returns 1 or 0.
local now_ms = redis_ms()
for _, open in ipairs(KEYS) do
  for _, incident in ipairs(redis.call('ZRANGE', open, 0, -1)) do
    local key = KEY.INCIDENT .. incident
    local known = redis.pcall('HMGET', key, 'outcome', 'holder', 'lease_until_ms')
    -- Redis's clock may have gone back: a lease that `take` would shorten counts as over.
    if not known.err and not known[1] and not (known[2] and still_to_come(known[3], now_ms, ARGV[1])) and readable(key) then
      return 1
    end
  end
end
return 0
