-- Takes no room, so Redis runs it where it is full too: it reads.
-- Reads the same fields of many incidents into one string: a client takes ten times as long for 100,000 strings.
-- KEYS: incidents. ARGV: fields. Returns a JSON array: of each incident its values in this order, false for one that it
--   lacks; an empty one for a key of another type.
local found = {}
for i, key in ipairs(KEYS) do
  local values = redis.pcall('HMGET', key, unpack(ARGV))
  found[i] = values.err and {} or values
end
return cjson.encode(found)
