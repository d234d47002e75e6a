"""The way to origins: what may be fetched, and the one function that does it."""
