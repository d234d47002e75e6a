"""The registry of streams: registration, state, signals, changes."""
