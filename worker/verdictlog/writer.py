"""The writer of verdicts: a buffer of this process, and a thread that writes it to the store.

Moderation never waits for the store. Rows of the last `FLUSH_SECONDS` are lost if the process is killed; if it is
asked to stop, they are written first.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from time import monotonic

import pyarrow as pa

from worker.bank.lists_in_force import BankMark
from worker.errors import ObjectStoreError, StoreError
from worker.logs.failure_log import FailureLog
from worker.store.object_store import ObjectStore
from worker.verdictlog.file_writing import write_table
from worker.verdictlog.rows import SCHEMA, Row, table_of

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

FLUSH_SECONDS = 10.0
"""The oldest row waits no longer than this while the store answers."""

FLUSH_ROWS = 2_000
"""Written immediately, before the time is over: about 1 MB."""

MOST_WAITING_ROWS = 20_000
"""While the store fails; the oldest are dropped first. About 40 MB, half an hour of one process."""

RETRY_SECONDS = 15.0
"""After a failure; a store that is away answers slowly, and only this thread waits."""

CLOSE_SECONDS = 8.0
"""The longest wait of a worker that ends for the store: container engines give a process 10 s."""

FAILING = "verdict-log-failing"
"""Slug for `degraded`: no look-back will search what is seen now."""


Registered = Callable[[str, BankMark], AbstractContextManager[None]]
"""Registers a file of the log while it is written, with the oldest state of the hash lists that any of its rows was
compared with (`worker.lookback.late_files`): look-backs for later hashes have not searched it."""


class VerdictWriter:
    """Rows of one process on their way to the store; usable from any of its threads, after the fork."""

    def __init__(self, connect: Callable[[], ObjectStore], *, registered: Registered) -> None:
        """Writes nothing yet.

        Args:
            connect: opens the store, at the first write; may raise ObjectStoreError.
            registered: entered before a file with hashes is written; may raise StoreError.
        """
        self._connect = connect
        self._registered = registered
        self._store: ObjectStore | None = None
        self._rows: deque[Row] = deque()
        self._judged_by: BankMark | None = None
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._due_at = 0.0
        self._now_ms, self._now_at = 0, 0.0
        self._dropped_rows = 0
        self._failing = False

    @property
    def degraded(self) -> tuple[str, ...]:
        """Slugs for events: the last write failed."""
        return (FAILING,) if self._failing else ()

    def add(self, rows: Sequence[Row], *, now_ms: int, judged_by: BankMark | None) -> None:
        """Buffers rows; returns immediately.

        Args:
            now_ms: Redis's clock, which determines the file's partition.
            judged_by: the state of the hash lists that their pictures were compared with; None: there is no picture.
        """
        if not rows:
            return
        with self._changed:
            self._now_ms, self._now_at = now_ms, monotonic()
            if not self._rows:
                self._due_at = monotonic() + (RETRY_SECONDS if self._failing else FLUSH_SECONDS)
            self._rows.extend(rows)
            self._judged_by = _older(self._judged_by, judged_by)
            while len(self._rows) > MOST_WAITING_ROWS:
                self._rows.popleft()
                self._dropped_rows += 1
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="livewarden-verdicts", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> bool:
        """Writes the buffer; False: the store failed, and the rows stay."""
        with self._writing:
            with self._changed:
                rows, self._rows = list(self._rows), deque()
                judged_by, self._judged_by = self._judged_by, None
                closing = self._closing
                written_ms = self._now_ms + round((monotonic() - self._now_at) * 1000)
            if not rows:
                return True
            try:
                if self._store is None:
                    self._store = self._connect()
                table = _table_of_good(rows)
                if table.num_rows:
                    self._write(self._store, table, written_ms, judged_by, closing=closing)
            except (ObjectStoreError, StoreError) as error:
                self._keep(rows, judged_by, error)
                return False
        _trouble.over("log", "the verdict log is written again; %d verdicts were lost meanwhile", self._dropped_rows)
        _trouble.over("redis", "verdicts are logged again; %d were lost meanwhile", self._dropped_rows)
        self._failing, self._dropped_rows = False, 0
        return True

    def _write(
        self, store: ObjectStore, table: pa.Table, written_ms: int, judged_by: BankMark | None, *, closing: bool
    ) -> None:
        if judged_by is None:
            write_table(store, table, written_ms=written_ms)
            return
        try:
            write_table(store, table, written_ms=written_ms, around=lambda path: self._registered(path, judged_by))
        except StoreError as error:
            if not closing:
                raise
            _log.warning("the last verdicts are logged, but not compared with hashes that came meanwhile: %s", error)
            write_table(store, table, written_ms=written_ms)

    def _keep(self, rows: list[Row], judged_by: BankMark | None, error: Exception) -> None:
        with self._changed:
            self._rows.extendleft(reversed(rows))
            self._judged_by = _older(self._judged_by, judged_by)
            self._due_at = monotonic() + RETRY_SECONDS
        if isinstance(error, StoreError):
            _trouble.met("redis", "verdicts wait for Redis before they are logged: %s", error)
        else:
            text = "the verdict log cannot be written, so no look-back will search what is seen now: %s"
            _trouble.met("log", text, error, level=logging.ERROR)
        self._failing = True

    def close(self) -> None:
        """Writes the buffer, within CLOSE_SECONDS at most; may be called twice."""
        with self._changed:
            self._closing = True
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is None:
            return
        thread.join(CLOSE_SECONDS)
        with self._changed:
            left = len(self._rows)
        if thread.is_alive() or left:
            _log.warning("the verdict log could not be written before this process ended: %d verdicts are lost", left)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closing and not self._is_due():
                    self._changed.wait(max(0.0, self._due_at - monotonic()) if self._rows else None)
                closing = self._closing
            self.flush()
            if closing:
                return

    def _is_due(self) -> bool:
        full = len(self._rows) >= FLUSH_ROWS and not self._failing
        return bool(self._rows) and (full or monotonic() >= self._due_at)


def _older(one: BankMark | None, other: BankMark | None) -> BankMark | None:
    marks = {mark for mark in (one, other) if mark is not None}
    return BankMark.oldest(marks) if marks else None


def _table_of_good(rows: list[Row]) -> pa.Table:
    """Converts rows; one that Parquet cannot hold (platforms choose the stream's name) does not cost the others."""
    try:
        return table_of(rows)
    except (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError):
        good = []
        for row in rows:
            try:
                good.append(table_of([row]))
            except (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError) as error:
                _log.warning("a verdict on %s cannot be logged: %s", row["stream_id"], type(error).__name__)
        return pa.concat_tables([SCHEMA.empty_table(), *good])
