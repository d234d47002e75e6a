"""Decoding of the pictures in a plan."""
