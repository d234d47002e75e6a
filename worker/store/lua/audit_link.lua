#!lua flags=allow-oom
-- Runs where Redis is full too (allow-oom): it moves entries, and the log must not lag behind acts that are allowed then.
-- Links unlinked entries, if the caller has the lease still, the head is the one that the caller linked them to, and
-- they are the oldest that wait. Idempotent: sent twice, it finds its own head.
-- KEYS: lease, head, linked entries, unlinked entries.
-- ARGV: token of the lease, hash of the head that the caller saw ('' if there was none), fields of the new head as a
--   JSON array [name, value, …], its hash, then for each entry: the ID under which it waits ('' if it is a note of the
--   chainer's), fields of the linked entry as a JSON array.
-- Returns 1, or 0 if nothing was linked: another chainer did, or entries were removed meanwhile.
if redis.call('HGET', KEYS[2], 'hash') == ARGV[4] then
  return 1
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] or (redis.call('HGET', KEYS[2], 'hash') or '') ~= ARGV[2] then
  return 0
end
local ids = {}
for place = 5, #ARGV, 2 do
  if ARGV[place] ~= '' then
    table.insert(ids, ARGV[place])
  end
end
if #ids > 0 then
  local waiting = redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', #ids)
  for place, id in ipairs(ids) do
    if not waiting[place] or waiting[place][1] ~= id then
      return 0
    end
  end
end
local last = ''
for place = 5, #ARGV, 2 do
  last = redis.call('XADD', KEYS[3], '*', unpack(cjson.decode(ARGV[place + 1])))
end
redis.call('HSET', KEYS[2], 'last_id', last, unpack(cjson.decode(ARGV[3])))
if #ids > 0 then
  redis.call('XDEL', KEYS[4], unpack(ids))
end
-- Whoever may append may do so with an ID of their own, in the future or even the last possible one, after which nothing
-- could be appended, and no person could act. The key is made anew then; the chain has all that was in it.
if #ids > 0 and redis.call('XLEN', KEYS[4]) == 0 then
  local known = redis.call('XINFO', 'STREAM', KEYS[4])
  for place = 1, #known, 2 do
    if known[place] == 'last-generated-id' then
      local last_ms = tonumber(string.match(known[place + 1], '^%d+'))
      if last_ms > redis_ms() + 60000 then
        redis.call('DEL', KEYS[4])
        redis.call('HSET', KEYS[2], 'taken', 0)
      end
    end
  end
end
return 1
