"""Sampling: bytes of a segment → pictures worth classifying. No network, no Redis, no Celery."""
