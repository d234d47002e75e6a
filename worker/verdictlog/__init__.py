"""The verdict log: verdicts on sampled pictures, and their outcomes, in Parquet, kept for look-backs and replays."""
