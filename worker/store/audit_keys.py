"""The keys of the audit log."""
