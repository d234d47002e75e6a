-- The order of the queue: undecided incidents by their claim on the next person, which worker/queue/case_order.py says in
-- words. It is kept with each write of an incident, so that a take finds the first of 10,000 at once. Prepended to every
-- script.

-- A claim and a time are one score, exact below 2^53.
local CLAIM_MS = 2 ^ 44
local SEVERITIES = {'critical', 'high', 'review'}
local CERTAINTIES, SCORED = {known = 0, reported = 1, score = 2, other = 2, unseen = 3}, 2
local RANK, ENDED = 4, 16

-- Returns whether an incident has not ended, and its certainty; nil: it was decided.
local function ground_of(incident)
  local known = redis.pcall('HMGET', KEY.INCIDENT .. incident, 'ended', 'ground', 'outcome')
  if known.err then
    return true, SCORED
  elseif known[3] then
    return nil
  end
  local ok, ground = pcall(cjson.decode, known[2] or '')
  local kind = ok and type(ground) == 'table' and ground.kind or ''
  return (known[1] or '') == '', CERTAINTIES[kind] or SCORED
end

-- Returns the scores (id to score) of the undecided incidents in the queue of a case, by one of its incidents: each has
-- its own severity, and what its case has of life, certainty and waiting.
local function claims_of(incident, now_ms)
  local members = case_of(incident)
  if #members == 0 then
    members = {incident}
  end
  local ranks, live, certainty, raised_ms = {}, false, SCORED + 1, now_ms
  for _, member in ipairs(members) do
    for place, severity in ipairs(SEVERITIES) do
      local member_ms = redis.call('ZSCORE', KEY.OPEN .. severity, member)
      if member_ms then
        local goes_on, surety = ground_of(member)
        if goes_on ~= nil then
          ranks[member] = (place - 1) * RANK
          live = live or goes_on
          certainty = math.min(certainty, surety)
          raised_ms = math.min(raised_ms, tonumber(member_ms))
        end
        break
      end
    end
  end
  local claims = {}
  for member, rank in pairs(ranks) do
    claims[member] = (rank + certainty + (live and 0 or ENDED)) * CLAIM_MS + math.max(raised_ms, 0)
  end
  return claims
end

local function write_order(incident)
  for member, claim in pairs(claims_of(incident, redis_ms())) do
    redis.call('ZADD', KEY.QUEUE_ORDER, string.format('%.0f', claim), member)
  end
end

-- Puts an incident, and the others of its case, in their places. Last in a script, and it may fail (a damaged key, an
-- older version's rules): a take puts what is missing in its place.
local function place_in_order(incident)
  pcall(write_order, incident)
end

-- Takes an incident that is decided or deleted out of the order.
local function leave_order(incident)
  redis.pcall('ZREM', KEY.QUEUE_ORDER, incident)
end
