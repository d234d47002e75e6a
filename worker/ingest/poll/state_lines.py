"""Log lines about the states of streams: one for each change, as long as no stream changes on and on."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.registry.registry import WAITING
from worker.logs.fields import fields
from worker.logs.rate_limit import LineLimit

_log = logging.getLogger(__name__)

_FAILING = frozenset({StreamState.UNREACHABLE, StreamState.MALFORMED})

LINES_OF_A_STREAM: Final = 10
STREAM_WINDOW_SECONDS: Final = 600.0
"""Changes of one stream that are logged in so many seconds. A playlist that fails in another way at each poll changed
its state 32 times a minute (2026-11-28)."""

LINES_A_MINUTE: Final = 60
"""About streams that cannot be read, or can again: if an origin of thousands fails, these show it, and `origin_gap`
gives their number."""

_LIMITED_STREAMS: Final = 4_096
"""Streams whose lines are counted; the least recent is forgotten."""


class StateLines:
    """Changes of state that one process logs."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Forgets what was logged."""
        self._all = LineLimit(LINES_A_MINUTE)
        self._streams: OrderedDict[str, LineLimit] = OrderedDict()

    def note(self, stream_id: str, before: Cursor, after: Cursor, problem: str) -> None:
        """Logs a change of state once in the deployment: to be called for committed polls only. A new reason why a
        stream cannot be read is a change too; another failed poll for the same reason is none."""
        first = before.last_read_ms is None and not before.failures
        failing = after.state in _FAILING
        if not first and before.state is after.state and (not failing or before.reason == after.reason):
            return
        trouble = failing or before.state in _FAILING
        left_out = self._left_out(stream_id, trouble=trouble)
        if left_out is None:
            return
        _log.log(
            logging.WARNING if trouble else logging.INFO,
            "stream %s is %s (after %d more changes of streams that were left out)" if left_out else "stream %s is %s",
            stream_id,
            after.state,
            *([left_out] if left_out else []),
            extra=fields(
                state=after.state,
                previous_state=WAITING if first else before.state,
                reason=after.reason,
                problem=problem,
                generation=after.generation,
                media_sequence=after.next_sequence,
            ),
        )

    def _left_out(self, stream_id: str, *, trouble: bool) -> int | None:
        """The number of lines left out before this one; None: this one is left out too."""
        now = self._clock()
        limit = self._streams.setdefault(stream_id, LineLimit(LINES_OF_A_STREAM, seconds=STREAM_WINDOW_SECONDS))
        self._streams.move_to_end(stream_id)
        while len(self._streams) > _LIMITED_STREAMS:
            self._streams.popitem(last=False)
        of_stream = limit.next(now)
        if of_stream is None:
            return None
        of_all = self._all.next(now) if trouble else 0
        return None if of_all is None else of_stream + of_all


STATE_LINES: Final = StateLines()
"""The lines of this process."""
