"""From playlists to segments that are to be moderated: the tick, the poll, and what is pending."""
