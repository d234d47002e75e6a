"""Decoders of packets, what they take, and which of their pictures are right."""
