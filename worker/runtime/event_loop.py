"""The event loop of a worker's main process, as the transport sees it: when it last ran, and last asked for work.

By the monotonic clock. Other threads read these times; only the loop writes them.
"""

import time
from dataclasses import dataclass


@dataclass
class EventLoop:
    """Times of one process's event loop, in seconds; None: never."""

    ran_at: float | None = None
    asked_at: float | None = None
    """It sent Redis its question for the next message (BRPOP)."""

    def note_run(self) -> None:
        """Notes that the loop runs."""
        self.ran_at = time.monotonic()

    def note_question(self) -> None:
        """Notes that the loop asks for work."""
        self.asked_at = time.monotonic()


EVENT_LOOP = EventLoop()
"""That of this process."""
