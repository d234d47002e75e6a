"""Faults of a worker's event loop: `celery … --include broken_loop`, with `BROKEN_LOOP` naming a file.

What is written into the file happens in the worker's main process, whose other threads go on:
    blocked    the loop waits in a call that never returns
    logging    likewise, in a log line that nobody reads: other threads log nothing any more
    places     kombu takes no message for done any more: its places are used up one by one
"""

import logging
import os
import threading
from pathlib import Path
from typing import Any

from celery.signals import worker_ready

from worker.runtime import loop_guard

VARIABLE = "BROKEN_LOOP"
IDLE_SECONDS = 40.0
"""In place of the guard's own, so that a test waits less. `doctor` names such a worker after 30 s."""


@worker_ready.connect
def _break(sender: Any, **_: Any) -> None:
    file = Path(os.environ[VARIABLE])
    vars(loop_guard)["IDLE_SECONDS"] = IDLE_SECONDS

    def step() -> None:
        fault = file.read_text() if file.exists() else ""
        if fault == "logging":
            logging.getLogger().handlers[0].acquire()
        if fault in ("blocked", "logging"):
            threading.Event().wait()
        if fault == "places":
            sender.task_consumer.channel.qos._quick_ack = lambda tag: None

    sender.hub.call_repeatedly(0.1, step)
