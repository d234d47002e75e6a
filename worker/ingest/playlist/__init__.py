"""Playlists as values, and what a newly read one adds to a stream. Pure."""
