"""Logging: formats, fields, rate limits, and redaction of secrets."""
