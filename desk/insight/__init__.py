"""Insight: the report on a period, as a page reads it."""
