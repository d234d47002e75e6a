"""Retention of evidence: legal holds, reports to authorities, the purge of what is over, and the erasure of streams."""
