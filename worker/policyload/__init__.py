"""The policy in force: followed, watched, and joined with its models."""
