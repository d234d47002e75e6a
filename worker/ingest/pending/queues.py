"""Names of Celery's queues."""

CONTROL = "control"
URGENT = "segments.urgent"
SEGMENTS = "segments"
CONTROL_SLOW = "control.slow"
"""Polls of streams whose playlists are slow."""
SEGMENTS_SLOW = "segments.slow"
"""Segments of streams whose segments are slow, urgent ones too."""

SLOW_QUEUES = (CONTROL_SLOW, SEGMENTS_SLOW)

QUEUES = (URGENT, CONTROL, SEGMENTS, *SLOW_QUEUES)
"""In order of priority."""
