"""The hash bank as a deployment keeps it: changes in Redis, snapshots on disk, and who may change what."""
