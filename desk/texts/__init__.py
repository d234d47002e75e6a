"""Texts of the desk, in one catalogue a language."""
