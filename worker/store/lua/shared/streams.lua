-- Streams, their missed time, signals and scores. Prepended to every script.

-- Updates the set of missing streams, by start of the gap, from the stream's hash: `missing_member` is the stream's
-- member now ('' if it is not missing), `missing_listed` its member before.
local function list_missing(stream)
  local found = redis.call('HMGET', stream, 'missing_member', 'missing_since_ms', 'missing_listed', 'missing_from_ms')
  local member, listed = found[1] or '', found[3] or ''
  local since_ms = tonumber(found[4] or '') or tonumber(found[2] or '')
  if listed ~= '' and listed ~= member then
    redis.call('ZREM', KEY.STREAMS_MISSING, listed)
  end
  if member ~= '' and since_ms then
    redis.call('ZADD', KEY.STREAMS_MISSING, since_ms, member)
  end
  redis.call('HSET', stream, 'missing_listed', member)
end

-- Notes of a stream whose playlist goes on how much of it was lost (reason to ms) and moderated just now. Where most was
-- lost a blind gap begins; where most was moderated it ends. Gaps that come and go are one: the next one begins as much
-- earlier as was lost before, by the clock at most, less a quarter of what was moderated since (FORGIVEN_FOR and
-- MAX_UNSEEN_MS in worker/ingest/playlist/missed_time.py). Else a picture now and then would keep it from moderators.
local function note_blindness(stream, id, lost, moderated_ms)
  local lost_ms, most_ms, reason = 0, 0, ''
  for why, ms in pairs(lost) do
    ms = tonumber(ms)
    lost_ms = lost_ms + ms
    if ms > most_ms then
      most_ms, reason = ms, why
    end
  end
  local known = redis.call('HMGET', stream, 'blind_since_ms', 'blind_lost_ms', 'blind_noted_ms')
  local now_ms, before_ms = redis_ms(), math.min(600000, tonumber(known[2] or '') or 0)
  if lost_ms > moderated_ms then
    local since_ms = tonumber(known[1] or '') or now_ms - before_ms
    -- The first one counts as a whole: where losses alternate with what is seen each would be the first.
    local noted_ms = tonumber(known[3] or '')
    local by_clock_ms = noted_ms and math.max(0, now_ms - noted_ms) or lost_ms
    redis.call('HSET', stream, 'blind_since_ms', string.format('%.0f', since_ms), 'blind_reason', reason,
      'blind_lost_ms', string.format('%.0f', math.min(600000, before_ms + math.min(lost_ms, by_clock_ms))),
      'blind_noted_ms', string.format('%.0f', now_ms))
    -- Each time, since readers of the set remove streams that were registered again meanwhile.
    redis.call('ZADD', KEY.STREAMS_BLIND, string.format('%.0f', since_ms), id)
  elseif moderated_ms > 0 and (known[1] or known[2]) then
    local left_ms = math.floor(before_ms - moderated_ms / 4)
    redis.call('HDEL', stream, 'blind_since_ms', 'blind_reason')
    redis.call('ZREM', KEY.STREAMS_BLIND, id)
    if left_ms > 0 then
      redis.call('HSET', stream, 'blind_lost_ms', string.format('%.0f', left_ms))
    else
      redis.call('HDEL', stream, 'blind_lost_ms', 'blind_noted_ms')
    end
  end
end

-- Deletes from the record of an unwatched stream what may hold signed tokens, and its listed segments: two thirds of
-- it. `url` is its URL without query.
local function forget_details(stream, url)
  redis.call('HSET', stream, 'url', url)
  redis.call('HDEL', stream, 'media_url', 'tried', 'no_video')
  local cursor = redis.call('HGET', stream, 'cursor')
  if cursor then
    cursor = string.gsub(cursor, '"seen":%[%[.-%]%]', '"seen":[]')
    -- Its last field, whose URLs may have any character but a quote.
    redis.call('HSET', stream, 'cursor', (string.gsub(cursor, ',"newest":.*$', '}')))
  end
end

-- Ends a stream's provisional missed time because its watch ends: it counts as missed, or the broadcast is taken to
-- have ended. An operator may end a watch, and must not write ledgers: so it is stored in the stream's hash, for
-- workers. If the stream was not polled in time, with all workers dead or Redis full, time since the last poll is
-- missed (10 s: LATE_POLL_MS in worker/ingest/registry/watch_state.py).
local function end_missing(stream, id, now_ms)
  -- The purpose that it counts for: the stream may have another one when it is added to the ledger.
  redis.call('HSET', stream, 'owed_purpose', redis.call('HGET', stream, 'purpose') or 'live')
  local found = redis.call('HMGET', stream, 'missing_member', 'missing_since_ms', 'missing_kept', 'missing_certain_ms')
  local since_ms = tonumber(found[2] or '')
  if (found[1] or '') == '' or not since_ms then
    local polls = redis.call('HMGET', stream, 'state', 'next_poll_ms', 'last_poll_ms', 'registered_ms')
    local due_ms = tonumber(polls[2] or '')
    local over = not polls[1] or polls[1] == 'ended' or polls[1] == 'removed'
    if not over and due_ms and now_ms - due_ms > 10000 then
      local read_ms = math.max(tonumber(polls[3] or '') or 0, tonumber(polls[4] or '') or 0)
      if read_ms > 0 and read_ms < now_ms then
        redis.call('HINCRBY', stream, 'owed_missed_ms', string.format('%.0f', now_ms - read_ms))
        redis.call('SADD', KEY.STREAMS_OWING, id)
      end
    end
    return
  end
  if found[3] == '1' then
    redis.call('HINCRBY', stream, 'owed_missed_ms', math.max(0, now_ms - since_ms))
  else
    redis.call('HINCRBY', stream, 'owed_after_end', 1)
    redis.call('HINCRBY', stream, 'owed_missed_ms', string.format('%.0f', tonumber(found[4] or '') or 0))
  end
  redis.call('SADD', KEY.STREAMS_OWING, id)
  redis.call('HSET', stream, 'missing_member', '')
  list_missing(stream)
end

-- The times of signals in the stream's hash, name to ms; none if they are damaged.
local function signal_times(stream)
  local ok, times = pcall(cjson.decode, redis.call('HGET', stream, 'signal_times') or '{}')
  return ok and type(times) == 'table' and times or {}
end

local function signal_is_dated(stream, name)
  return type(signal_times(stream)[name]) == 'string'
end

-- Notes a report of imminent danger that is to be raised, with what its incident needs: it is raised even if the stream's
-- watch ends meanwhile. The time of the first one that is not raised stays: a flood of reports must not put it off.
local function note_danger(waiting, stream, id, now_ms)
  local known = redis.call('HMGET', stream, 'generation', 'purpose')
  redis.call('ZADD', waiting, 'NX', now_ms, id .. ' ' .. (known[1] or '1') .. ' ' .. (known[2] or 'live'))
end

-- Sets the times of signals in the stream's hash (name to ms): of those in `reported`, and of those that have none.
local function date_signals(stream, signals, now_ms, reported)
  local before, times, any = signal_times(stream), {}, false
  for _, name in ipairs(redis.call('HKEYS', signals)) do
    local known = type(before[name]) == 'string' and not reported[name]
    times[name], any = known and before[name] or now_ms, true
  end
  if any then
    redis.call('HSET', stream, 'signal_times', cjson.encode(times))
  end
end

-- Keeps a score of a stream, or a signal of our own, as number, time in ms and half-life in ms, if it adds more to the stream's risk than the
-- one that is kept, now and later: so the same stays in whatever order they come (config/policy/risk.py `higher_now`).
-- A damaged key must not keep a segment from being settled.
local function keep_score(id, field, value)
  local number, at_ms, half_life_ms = string.match(value, '^(%S+) (%d+) (%d+)$')
  local key = KEY.RISK .. id
  local before = redis.pcall('HGET', key, field)
  local kept, kept_ms = string.match(type(before) == 'string' and before or '', '^(%S+) (%d+)$')
  kept, kept_ms = tonumber(kept or ''), tonumber(kept_ms or '')
  local now_ms = redis_ms()
  local function adds(one, one_ms)
    return one * 2 ^ (math.min(0, one_ms - now_ms) / half_life_ms)
  end
  if kept and kept_ms and adds(kept, kept_ms) >= adds(number, at_ms) then
    return
  end
  local fields = redis.pcall('HLEN', key)
  if before or type(fields) == 'number' and fields < 100 then
    redis.pcall('HSET', key, field, number .. ' ' .. at_ms)
    redis.pcall('EXPIRE', key, LIFE.RISK)
  end
end
