"""From registered streams to pending segments: registry, HTTP, playlists, polls, coverage."""
