"""The policy in force: followed, watched, and joined with the models that it is about."""
