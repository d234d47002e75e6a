"""Segments that are pending, and which of them is next."""
