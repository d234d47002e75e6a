"""Health: presence of processes, and Redis's memory and lost state."""
