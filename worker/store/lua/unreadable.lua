-- Takes no room, so Redis runs it where it is full too: it reads.
-- Returns the places, from 1, of incidents whose records have no event that can be shown: no take gives them to anybody.
-- KEYS: incidents.
local found = {}
for place, incident in ipairs(KEYS) do
  local outcome = redis.pcall('HGET', incident, 'outcome')
  if type(outcome) ~= 'string' and not readable(incident) then
    table.insert(found, place)
  end
end
return found
