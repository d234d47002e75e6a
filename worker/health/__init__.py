"""Signs of life: which processes are there, and whether Redis still has what it was given."""
