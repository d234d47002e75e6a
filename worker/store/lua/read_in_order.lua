-- Takes no room, so Redis runs it where it is full too: it reads.
-- Reads the state of rules that evaluate segments in order, atomically.
-- KEYS: stream's incidents, windows hash, pending hash. ARGV: series (watch generation and epoch), key of the segment
--   that is settled.
-- Returns {incidents, windows, earliest key, its record, series with pending segments}; the earliest of the other
--   pending segments of the series, '' if there is none. Order is by media sequence number, which is in the keys
--   (worker/ingest/playlist/hls.py, segment_key), so a long backlog need not be read. Keys of look-back have another
--   form.
local earliest, sequence, series = '', nil, {}
for _, key in ipairs(redis.call('HKEYS', KEYS[3])) do
  local of, number = string.match(key, '^(%d+%.%d+)%..*%.(%d+)%.%x+$')
  if of then
    series[of] = true
    number = tonumber(number)
    if of == ARGV[1] and key ~= ARGV[2] and (not sequence or number < sequence) then
      earliest, sequence = key, number
    end
  end
end
local pending = {}
for name in pairs(series) do
  table.insert(pending, name)
end
local record = earliest ~= '' and redis.call('HGET', KEYS[3], earliest) or ''
return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), earliest, record, pending}
