#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): it frees.
-- Deletes expired fields. Damaged ones stay: their readers log them.
-- KEYS: hashes of JSON records. ARGV: the time in ms, then for each the record's field with a time in ms, and how long
--   the record is kept after it.
-- Returns how many were deleted.
local now_ms = tonumber(ARGV[1])
local dropped = 0
for place, key in ipairs(KEYS) do
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local ok, record = pcall(cjson.decode, all[i + 1])
    local at_ms = ok and type(record) == 'table' and tonumber(record[ARGV[2 * place]])
    if at_ms and at_ms + ARGV[2 * place + 1] < now_ms then
      dropped = dropped + redis.call('HDEL', key, all[i])
    end
  end
end
return dropped
