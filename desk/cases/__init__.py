"""Open cases, in words."""
