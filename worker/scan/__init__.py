"""Files and playlists that a person asks to be scanned, and how they are shown what was found."""
