"""Coverage: the ledger of each stream's seconds, and daily totals."""
