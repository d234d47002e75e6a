"""Models: arrays → scores and hash matches. No network, no Redis, no Celery."""
