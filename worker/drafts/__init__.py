"""Drafts of reports on a case, and the sealed package of it, for people: nothing is sent anywhere."""
