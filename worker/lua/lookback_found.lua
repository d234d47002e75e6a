--@once
-- Records how far a look-back has come, and what it found on the way, in one step: a look-back that is killed finds it
-- again from the last step on, and what was found before is not told again.
-- KEYS: lease, jobs, hits that were told, what is to be raised. ARGV: token of the lease, id of the job, job as JSON, time
--   in ms, groups as JSON: [{name, stream, segment, record, facts, hits: [{id, text}]}]. Texts are not read here: Lua
--   would write large numbers as 1.7e+12.
-- Returns how many hits are new, or -1: the lease is lost, nothing was written.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
local new = 0
for _, group in ipairs(cjson.decode(ARGV[5])) do
  local texts = {}
  for _, hit in ipairs(group.hits) do
    if redis.call('ZADD', KEYS[3], 'NX', ARGV[4], hit.id) == 1 then
      table.insert(texts, hit.text)
    end
  end
  if #texts > 0 then
    new = new + #texts
    redis.call('HSET', KEYS[4], group.name, cjson.encode({facts = group.facts, segment = group.segment, hits = texts}))
    -- What is settled has to be pending: so a group is raised once, whoever dies over it.
    redis.call('HSET', 'lw:pending:' .. group.stream, group.segment, group.record)
  end
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return new
