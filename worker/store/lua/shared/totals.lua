-- Totals of a day. Prepended to every script.

-- Adds amounts (field to number) to today's totals, which reports use when all else is gone. Names come from policies
-- and lists; however many there are, a day's totals stay small. A key of another type is ignored.
local function add_today(purpose, amounts)
  local key = KEY.DAY_TOTALS .. math.floor(redis.call('TIME')[1] / 86400)
  local size = redis.pcall('HLEN', key)
  if type(size) ~= 'number' then
    return
  end
  for field, amount in pairs(amounts) do
    local name = purpose .. ' ' .. field
    if size >= 4000 and redis.pcall('HEXISTS', key, name) == 0 then
      name = purpose .. ' ' .. string.match(field, '^%S+') .. ' (more)'
    end
    redis.pcall('HINCRBY', key, name, amount)
  end
  redis.pcall('EXPIRE', key, LIFE.DAY_TOTALS, 'NX')
end

-- Adds the increments of the ledger of a stream of this purpose, in milliseconds, to today's totals, without counts.
local function add_ledger_today(purpose, increments)
  local amounts = {}
  for field, increment in pairs(increments) do
    if string.sub(field, 1, 7) ~= 'count: ' then
      amounts['ms ' .. field] = increment
    end
  end
  if next(amounts) then
    add_today(type(purpose) == 'string' and purpose or 'live', amounts)
  end
end

-- Adds a raised or decided incident, or a changed decision, by its event to today's totals: by rule and severity, and
-- by each list but `allow`, which finds nothing. A revision that leaves the outcome changed no decision.
local function add_event_today(text)
  local ok, event = pcall(cjson.decode, text)
  local what = ok and ({
    ['livewarden.escalation.raised.v1'] = 'raised',
    ['livewarden.decision.made.v1'] = 'decided',
    ['livewarden.decision.revised.v1'] = 'revised',
  })[event.type]
  if not what then
    return
  end
  local data, outcome = event.data, ''
  if what == 'decided' then
    outcome = ' ' .. data.outcome
  elseif what == 'revised' then
    if data.previous_outcome == data.outcome then
      return
    end
    outcome = ' ' .. data.previous_outcome .. ' ' .. data.outcome
  end
  local amounts = {[what .. ' ' .. data.rule .. ' ' .. data.severity .. outcome] = 1}
  for _, match in ipairs(type(data.matches) == 'table' and data.matches or {}) do
    if match.list ~= 'allow' then
      amounts[what .. '-list ' .. match.list .. ' ' .. data.severity .. outcome] = 1
    end
  end
  add_today(data.purpose, amounts)
end
