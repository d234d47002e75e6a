"""The queue as it is now, read once for all open pages."""
