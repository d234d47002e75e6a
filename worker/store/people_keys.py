"""The keys of people and their roles."""
