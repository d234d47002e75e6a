"""Ingest: from registered streams to pending segments. Registry, HTTP, playlists, polls, coverage."""
