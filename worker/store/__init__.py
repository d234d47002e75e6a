"""Redis and the object store: clients, keys, scripts, leases."""
