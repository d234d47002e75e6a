-- Records of acts: the audit log, and the history of the bank. Prepended to every script.

-- Appends an entry, a line of JSON from `audit_entry` (worker/audit/entries.py), to the audit log; '' does nothing. Called
-- before the first write of the act's own script, and after its checks: if it fails, nothing has been done. The chainer
-- links it within seconds, since Lua has no SHA-256; its time is Redis's, the ID.
local function audit(entry)
  if entry ~= '' then
    redis.call('XADD', KEY.AUDIT_UNLINKED, '*', 'entry', entry)
  end
end

-- The same for acts that protect people, and must not wait for the audit log: where it cannot be written (an older
-- version's rules, a damaged key), they go on without a record.
local function try_audit(entry)
  pcall(audit, entry)
end

-- Records acts on the bank, each a pair of JSON texts: the act for its stream, which is trimmed, and the entry of the
-- audit log. Called before the first write of the act itself, as `audit` is.
local function note_acts(stream, acts, kept)
  for _, act in ipairs(acts) do
    audit(act[2])
  end
  for _, act in ipairs(acts) do
    redis.call('XADD', stream, 'MAXLEN', '~', kept, '*', 'act', act[1])
  end
end
