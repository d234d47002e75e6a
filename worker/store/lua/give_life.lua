#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): it frees. Idempotent.
-- Sets the missing life of a key, unless a person has yet to decide on it.
-- KEYS: states of a stream's rules, an incident, or the streams of a group's incident. ARGV: seconds, which of these it
--   is.
-- Returns 1 if it has a life now.
local function decided(incident)
  local known = redis.pcall('HMGET', incident, 'raised_ms', 'outcome', 'purpose')
  return known.err or not known[1] or known[2] or known[3] == 'canary'
end

if ARGV[2] == 'incident' and not decided(KEYS[1]) then
  return 0
end
if ARGV[2] == 'streams' and not decided((string.gsub(KEYS[1], ':streams$', ''))) then
  return 0
end
if ARGV[2] == 'states' then
  -- A key of another type holds nothing undecided.
  for _, text in ipairs(redis.pcall('HVALS', KEYS[1])) do
    local ok, state = pcall(cjson.decode, text)
    local open = ok and type(state) == 'table' and state.incident
    if type(open) == 'table' and not decided(KEY.INCIDENT .. tostring(open.incident_id)) then
      return 0
    end
  end
end
return redis.call('EXPIRE', KEYS[1], ARGV[1])
