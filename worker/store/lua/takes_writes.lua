#!lua
-- Refused where Redis is full, loads its data, is read-only or lost its disk or replicas, as no script that writes
-- nothing would be without the line of flags, which is empty: Redis takes it for one that writes.
-- Returns 1: Redis takes writes.
return 1
