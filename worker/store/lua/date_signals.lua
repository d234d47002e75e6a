#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): a short field and a member for each watched stream, and danger does not wait.
-- Dates signals that a version without times has stored: they decay from now on. One of imminent danger is to be raised,
-- which that version does not do. Idempotent.
-- KEYS: stream hash, signals hash, reports of imminent danger that are to be raised. ARGV: stream, name of the signal of
--   imminent danger.
if redis.call('EXISTS', KEYS[1]) == 1 then
  local now_ms = string.format('%.0f', redis_ms())
  if not signal_is_dated(KEYS[1], ARGV[2]) and (tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or '') or 0) > 0 then
    note_danger(KEYS[3], KEYS[1], ARGV[1], now_ms)
  end
  date_signals(KEYS[1], KEYS[2], now_ms, {})
end
return 1
