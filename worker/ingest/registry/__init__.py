"""The registry: which streams are watched, and what is known of each."""
