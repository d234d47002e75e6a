"""From the bytes of a segment to the pictures worth looking at. No network, no Redis, no Celery."""
