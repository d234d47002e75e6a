"""CloudEvents, among them events for operators."""
