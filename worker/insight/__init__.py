"""Insight: what a transparency report says of a period, from totals, records and logs, and what cannot be known."""
