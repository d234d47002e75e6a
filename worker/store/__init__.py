"""Redis and the object store: clients, key patterns, Lua scripts, leases."""
