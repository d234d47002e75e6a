"""The desk's own database, and its versions."""
