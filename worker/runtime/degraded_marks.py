"""Marks of verdicts (`degraded`), logged when they come and when they go.

A mark names what did not work: a model, the bank, the verdict log, a rule. It comes with the first segment that has it,
and is gone when no segment of this process has had it for a while: a model of the cascade does not run on each.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from worker.logs.fields import fields
from worker.logs.rate_limit import LineLimit

GONE_SECONDS: Final = 60.0

MOST_MARKS: Final = 256
"""Remembered marks; their names are those of models, rules and lists."""

LINES_A_MINUTE: Final = 60

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Mark:
    seen_at: float
    logged: bool
    """Its coming was logged, so its going is."""


class DegradedMarks:
    """The marks of one process's verdicts."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._marks: OrderedDict[str, _Mark] = OrderedDict()
        """The one that was seen longest ago first; at most `MOST_MARKS`."""
        self._lines = LineLimit(LINES_A_MINUTE)

    def note(self, marks: Iterable[str], *, stream_id: str, segment_sequence: int) -> None:
        """Notes the marks of a segment that has a verdict."""
        lines: list[tuple[str, bool, int]] = []
        with self._lock:
            now = self._clock()
            for name in marks:
                mark = self._marks.get(name)
                if mark is None:
                    left_out = self._lines.next(now)
                    mark = self._marks[name] = _Mark(seen_at=now, logged=left_out is not None)
                    if left_out is not None:
                        lines.append((name, True, left_out))
                mark.seen_at = now
                self._marks.move_to_end(name)
            while self._marks:
                name, mark = next(iter(self._marks.items()))
                is_gone = now - mark.seen_at > GONE_SECONDS
                if not is_gone and len(self._marks) <= MOST_MARKS:
                    break
                del self._marks[name]
                # A mark that only makes room may last, and the coming of another was not logged.
                if is_gone and mark.logged and (left_out := self._lines.next(now)) is not None:
                    lines.append((name, False, left_out))
        for name, comes, left_out in lines:
            text = "verdicts are degraded: %s" if comes else "verdicts are not degraded any more: %s"
            args: tuple[object, ...] = (name,)
            if left_out:
                text, args = f"{text} (%d more lines are left out)", (name, left_out)
            of_segment: dict[str, str | int] = (
                {"stream_id": stream_id, "media_sequence": segment_sequence} if comes else {}
            )
            _log.warning(text, *args, extra=fields(mark=name, degraded="comes" if comes else "goes", **of_segment))
