"""The moderators' queue: claims, decisions and revisions of incidents, and the trimming of its streams."""
