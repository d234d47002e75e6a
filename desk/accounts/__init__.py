"""Accounts of the desk: passwords, sessions, and what ties both to people of the roster."""
