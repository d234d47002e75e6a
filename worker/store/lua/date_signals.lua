-- Refused where Redis is full: signals without a time count as new until then.
-- Dates signals that a version without times has stored: they decay from now on. Idempotent.
-- KEYS: stream hash, signals hash.
if redis.call('EXISTS', KEYS[1]) == 1 then
  date_signals(KEYS[1], KEYS[2], string.format('%.0f', redis_ms()), {})
end
return 1
