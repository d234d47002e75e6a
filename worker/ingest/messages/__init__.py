"""Intake: reads, validates and applies platforms' messages in the queue `intake`."""
