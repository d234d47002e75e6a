"""Celery, and the task that moderates a segment: queues, limits, upkeep, shutdown."""
