"""Decisions of an operator: settings and the moderation policy; and the schemas of the events."""
