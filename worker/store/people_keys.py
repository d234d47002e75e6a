"""The keys of people and their roles."""

from worker.store.key_pattern import moderated

PEOPLE = moderated("lw:people", "hash", "the roster: role, and digests of the token, of each person", "1,000 people")
