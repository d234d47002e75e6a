#!lua flags=allow-oom
--@once
-- Runs where Redis is full too (allow-oom): a person is working on an incident, and may not go on without it.
-- Appends an entry to the audit log, of an act that no other script does. ARGV: the entry. Returns 1.
audit(ARGV[1])
return 1
