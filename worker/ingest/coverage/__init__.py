"""Coverage: the ledger of each stream's seconds, and the totals of each day."""
