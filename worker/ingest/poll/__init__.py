"""The tick and the poll: playlists are read, and new segments are admitted to be moderated."""
