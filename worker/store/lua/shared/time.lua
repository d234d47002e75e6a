-- Time in scripts, and calls that may be sent twice. Prepended to every script.

-- Redis's time in ms: the only clock with which times in Redis are compared.
local function redis_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Sets fields (field to value) of a hash.
local function set_fields(key, fields)
  for field, value in pairs(fields) do
    redis.call('HSET', key, field, value)
  end
end

-- Runs a script whose first line is `--@once`. A client whose connection breaks before the answer comes repeats the
-- call: the first answer is kept under the last key, which identifies the call, and nothing is done a second time.
local function once(act, kept_seconds)
  local call = table.remove(KEYS)
  local before = redis.call('GET', call)
  if before then
    -- A write, so that a following WAITAOF waits for the first call's writes.
    redis.call('EXPIRE', call, kept_seconds)
    return cmsgpack.unpack(before)
  end
  local answer = act()
  -- The writes of `act` stand even if Redis has no memory for the answer.
  redis.pcall('SET', call, cmsgpack.pack(answer), 'EX', kept_seconds)
  return answer
end

-- Returns whether a time in ms is in the future, but no further than is ever set: a later one is from before Redis's
-- clock went back.
local function still_to_come(at_ms, now_ms, longest_ms)
  local left_ms = (tonumber(at_ms or 0) or 0) - now_ms
  return left_ms > 0 and left_ms <= tonumber(longest_ms)
end

-- The members of a sorted set of times in ms that are due, the earliest first, and after them those that are further in
-- the future than is ever set.
local function due_members(set, now_ms, longest_ms, most)
  local members = redis.call('ZRANGE', set, '-inf', now_ms, 'BYSCORE', 'LIMIT', 0, most)
  if #members < tonumber(most) then
    local beyond = string.format('(%.0f', now_ms + longest_ms)
    for _, member in ipairs(redis.call('ZRANGE', set, beyond, '+inf', 'BYSCORE', 'LIMIT', 0, most - #members)) do
      table.insert(members, member)
    end
  end
  return members
end

-- The number of members that `due_members` would return without its limit.
local function count_due(set, now_ms, longest_ms)
  return redis.call('ZCOUNT', set, '-inf', now_ms)
    + redis.call('ZCOUNT', set, string.format('(%.0f', now_ms + longest_ms), '+inf')
end

-- Shortens the life of a key to the longest that is ever set: expiry follows the clock, which may have gone back.
local function expire_within(key, longest_ms)
  if redis.call('PTTL', key) > tonumber(longest_ms) then
    redis.call('PEXPIRE', key, longest_ms)
  end
end

-- The same for the end of a lease in ms in a field of a hash. Returns the end; nil: there is none.
local function lease_within(key, field, now_ms, longest_ms)
  local until_ms = tonumber(redis.call('HGET', key, field) or '')
  if until_ms and until_ms - now_ms > tonumber(longest_ms) then
    until_ms = now_ms + longest_ms
    redis.call('HSET', key, field, until_ms)
  end
  return until_ms
end

-- Returns whether the poll with this token has the stream still: it has not ended, and no other poll has taken the
-- stream. A damaged record is no poll's.
local function poll_has(stream, token)
  local found = redis.pcall('HMGET', stream, 'poll_token', 'polled_token')
  return found[1] == token and found[2] ~= token
end
