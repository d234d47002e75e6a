"""The moderators' queue, and what operators must be told."""
