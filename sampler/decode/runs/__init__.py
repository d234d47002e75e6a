"""Runs of packets: which of them are decoded, and which suspects their own bits refute."""
