"""Judging: what a person finds on a case, and what follows from it."""
