"""A file whose age tells whether a worker's or a beat's loop still turns: what docker-compose.yml's health checks read.

A container's check runs every few seconds in every container, so it has to cost next to nothing; `celery inspect ping`
starts a Python, imports Celery and asks all workers through the broker.
"""

from pathlib import Path
from typing import Any

from celery.signals import after_task_publish, beat_init, heartbeat_sent


def touch_while_alive(path: Path) -> None:
    """Has `path` touched for as long as this process does its work, whichever of the two it is.

    A worker's main loop sends a heartbeat every 2 s over its broker connection, so the file ages where the loop hangs
    or the broker is away. A beat has none; what it does is to publish, so there the file is touched on each tick sent.
    """

    def touch(**_: Any) -> None:
        path.touch()

    def follow_beat(**_: Any) -> None:
        touch()
        after_task_publish.connect(touch, weak=False, dispatch_uid="livewarden.heartbeat")

    heartbeat_sent.connect(touch, weak=False, dispatch_uid="livewarden.heartbeat")
    beat_init.connect(follow_beat, weak=False, dispatch_uid="livewarden.heartbeat")
