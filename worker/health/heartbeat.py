"""Heartbeat files: the age of one shows whether a worker's or a beat's loop runs. docker-compose.yml's health checks
read it.

A container's check runs every few seconds in every container, so it must cost next to nothing; `celery inspect ping`
starts a Python, imports Celery and queries all workers through the broker.
"""

from pathlib import Path
from typing import Any

from celery.signals import after_task_publish, beat_init, heartbeat_sent


def touch_while_alive(path: Path) -> None:
    """Touches `path` for as long as this process, a worker or a beat, does its work.

    A worker's main loop sends a heartbeat every 2 s over its broker connection, so the file ages if the loop hangs or
    the broker is away. A beat has no heartbeat; it touches the file with each tick it publishes.
    """

    def touch(**_: Any) -> None:
        path.touch()

    def follow_beat(**_: Any) -> None:
        touch()
        after_task_publish.connect(touch, weak=False, dispatch_uid="livewarden.heartbeat")

    heartbeat_sent.connect(touch, weak=False, dispatch_uid="livewarden.heartbeat")
    beat_init.connect(follow_beat, weak=False, dispatch_uid="livewarden.heartbeat")
