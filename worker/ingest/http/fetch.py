"""Fetching for code that is not asynchronous: tasks, command line, pipeline.

One `Fetcher` a process. Its connections live in an event loop of their own on a background thread, so that keep-alive
outlasts a task.
"""

import asyncio
import itertools
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

from worker.ingest.http.origin_session import Fetched, Method, OriginSession
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.http.resolver import Resolve
from worker.ingest.http.resource import ByteRange, Validators

__all__ = ["FetchRequest", "FetchRound", "Fetched", "Fetcher", "Validators"]

_JOIN_SECONDS = 5.0
"""For the loop's thread to end once it has been told to; it has nothing left to wait for by then."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """One fetch of a batch; fields as `OriginSession.fetch`."""

    url: str
    max_bytes: int
    timeout_seconds: float
    byte_range: ByteRange | None = None
    method: Method = "GET"


class _Running:
    """An event loop on a thread, with the session that belongs to it."""

    def __init__(self, open_session: Callable[[], OriginSession]) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="livewarden-fetch", daemon=True)
        self._thread.start()
        self.session = self.run(_open(open_session))

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Runs `work` in the loop, and does not wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs `work` in the loop and waits for it; an exception that breaks the wait cancels it."""
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # the soft time limit strikes here
            raise

    def stop(self) -> None:
        self.run(self.session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_JOIN_SECONDS)
        self._loop.close()


_inherited: list[_Running] = []
"""Loops of parent processes. Their threads did not survive the fork; were they collected here, they would take sockets
out of an epoll set that is still the parent's."""


class Fetcher:
    """Fetches through one guarded pool of connections. Opened at the first fetch, hence after a fork."""

    def __init__(
        self, origins: AllowedOrigins, *, resolve: Resolve | None = None, name_servers: Sequence[str] | None = None
    ) -> None:
        """Arguments as `OriginSession`."""
        self._open_session = partial(OriginSession, origins, resolve=resolve, name_servers=name_servers)
        self._running: _Running | None = None
        self._lock = threading.Lock()

    def fetch_sync(
        self,
        url: str,
        *,
        max_bytes: int,
        timeout_seconds: float,
        byte_range: ByteRange | None = None,
        method: Method = "GET",
    ) -> Fetched:
        """Fetches `url` as `OriginSession.fetch` does.

        Raises:
            FetchError: whatever went wrong; see its `reason`.
        """
        running = self._open()
        return running.run(
            running.session.fetch(
                url, max_bytes=max_bytes, timeout_seconds=timeout_seconds, byte_range=byte_range, method=method
            )
        )

    def begin_round(self, *, most: int) -> "FetchRound":
        """A round of fetches, `most` at once, whose answers are given as they come. Use as a context manager.

        A fetch waits for its host's name before it is one of them: names that nobody answers hold none of them up.
        """
        running = self._open()
        return FetchRound(running.session, running.start, most=most)

    def close(self) -> None:
        """Closes the connections and ends the thread; may be called twice. A later fetch opens them again."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None and running.pid == os.getpid():
            running.stop()
        elif running is not None:
            _inherited.append(running)

    def _open(self) -> _Running:
        with self._lock:
            if self._running is not None and self._running.pid != os.getpid():
                _inherited.append(self._running)
                self._running = None
            if self._running is None:
                self._running = _Running(self._open_session)
            return self._running


async def _open(open_session: Callable[[], OriginSession]) -> OriginSession:
    """In the loop that the session will belong to."""
    return open_session()


class FetchRound:
    """Fetches that go on while their answers are taken one by one. What is left at the end is cancelled."""

    def __init__(
        self, session: OriginSession, start: Callable[[Coroutine[Any, Any, None]], "Future[None]"], *, most: int
    ) -> None:
        self._session = session
        self._start = start
        self._turns = asyncio.Semaphore(most)
        self._answers: queue.SimpleQueue[tuple[str, int, Fetched | Exception]] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._underway: dict[str, tuple[int, Future[None]]] = {}
        """Name to the number of its newest fetch, and that fetch."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, fetch in self._underway.values():
            fetch.cancel()

    def ask(self, name: str, request: FetchRequest) -> None:
        """Begins a fetch, whose answer comes under `name`, in place of one of that name that is under way."""
        number, replaced = next(self._numbers), self._underway.get(name)
        if replaced is not None:
            replaced[1].cancel()
        self._underway[name] = (number, self._start(self._fetch(name, number, request)))

    def answer(self, *, within_seconds: float) -> tuple[str, Fetched | Exception] | None:
        """The next answer, as (name, what came of it); None: none came in time. Whatever a fetch raised is an answer,
        since it is about that fetch alone."""
        until_seconds = monotonic() + within_seconds
        while True:
            try:
                name, number, answer = self._answers.get(timeout=max(0.0, until_seconds - monotonic()))
            except queue.Empty:
                return None
            # A fetch may have ended before it was replaced: its answer is that of another URL.
            newest = self._underway.get(name)
            if newest is not None and newest[0] == number:
                del self._underway[name]
                return name, answer

    async def _fetch(self, name: str, number: int, request: FetchRequest) -> None:
        try:
            await self._session.settle_name(request.url)
            async with self._turns:  # its time starts with its turn
                answer: Fetched | Exception = await self._session.fetch(
                    request.url,
                    max_bytes=request.max_bytes,
                    timeout_seconds=request.timeout_seconds,
                    byte_range=request.byte_range,
                    method=request.method,
                )
        except Exception as error:
            answer = error
        self._answers.put((name, number, answer))
