"""The hash bank of a deployment: changes in Redis, snapshots on disk and in the store, and the right to change them."""
