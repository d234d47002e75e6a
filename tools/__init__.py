"""Generators of documents: each prints one, and a test holds the file to it."""
