"""`livewarden scan`: the pipeline on files and playlists, and its output for people."""
