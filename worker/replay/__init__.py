"""Replay: a policy is tried on what was seen already, and laid beside what was raised then."""
