"""Marks of verdicts (`degraded`), logged when they come and when they go.

A mark says what did not work: a model, the bank, the verdict log, a rule. It comes with the first segment that has it,
and is gone when no segment of this process has had it for a while: a model of the cascade has no turn on each of them.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from worker.linelimit import LineLimit
from worker.logfields import fields

GONE_SECONDS: Final = 60.0

MOST_MARKS: Final = 256
"""That are remembered; their names are those of models, rules and lists."""

LINES_A_MINUTE: Final = 60

_log = logging.getLogger(__name__)


class DegradedMarks:
    """Of one process."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen_at: OrderedDict[str, float] = OrderedDict()
        """The one that was seen longest ago first."""
        self._lines = LineLimit(LINES_A_MINUTE)

    def note(self, marks: Iterable[str], *, stream_id: str, segment_sequence: int) -> None:
        """Those of a segment that was judged."""
        with self._lock:
            now = self._clock()
            came = [mark for mark in marks if mark not in self._seen_at]
            for mark in marks:
                self._seen_at[mark] = now
                self._seen_at.move_to_end(mark)
            gone = []
            while self._seen_at:
                mark, seen_at = next(iter(self._seen_at.items()))
                if now - seen_at <= GONE_SECONDS and len(self._seen_at) <= MOST_MARKS:
                    break
                del self._seen_at[mark]
                gone.append(mark)
            lines = [(mark, True) for mark in came] + [(mark, False) for mark in gone]
            lines = [line for line in lines if self._lines.next(now) is not None]
        for mark, comes in lines:
            if comes:
                more = fields(mark=mark, degraded="comes", stream_id=stream_id, media_sequence=segment_sequence)
                _log.warning("verdicts are degraded: %s", mark, extra=more)
            else:
                _log.warning("verdicts are not degraded any more: %s", mark, extra=fields(mark=mark, degraded="goes"))
