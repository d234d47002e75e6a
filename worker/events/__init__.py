"""CloudEvents, and the notices to operators among them."""
