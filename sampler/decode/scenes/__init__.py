"""Comparison of pictures in a row: what is new, and when it has settled."""
