"""The synchronous interface to `OriginSession`, for tasks, command line and pipeline.

One `Fetcher` a process. Its connections belong to an event loop on a background thread, so that keep-alive outlasts a
task.
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
from typing import Any, Self, TypeVar

from worker.errors import FetchError
from worker.ingest.http.origin_session import Fetched, Method, OriginSession
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.http.resolver import Resolve
from worker.ingest.http.resource import ByteRange, Validators

__all__ = ["FetchRequest", "FetchRound", "Fetched", "Fetcher", "Validators"]

_JOIN_SECONDS = 5.0
"""For the loop's thread to end once it is stopped; it has nothing left to wait for by then."""

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
        """Schedules `work` in the loop without waiting for it."""
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
        """Ends the loop with all that runs in it; who waits for a fetch gets `CancelledError`."""
        self.run(_end(self.session))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_JOIN_SECONDS)
        self._loop.close()


_inherited: list[_Running] = []
"""Loops of parent processes. Their threads did not survive the fork; if they were garbage-collected here, they would
remove sockets from an epoll set that the parent still uses."""


class Fetcher:
    """Fetches through one guarded connection pool, which is opened at the first fetch, hence after a fork."""

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
            FetchError: for any failure; see its `reason`.
        """
        running = self._open()
        answer = running.run(
            _answer(
                running.session.fetch(
                    url, max_bytes=max_bytes, timeout_seconds=timeout_seconds, byte_range=byte_range, method=method
                )
            )
        )
        if isinstance(answer, FetchError):
            # Another one: the task of the loop holds its own, and would hold our callers, with all that they fetched.
            raise FetchError(answer.text, answer.reason)
        return answer

    def begin_round(self, *, most: int) -> "FetchRound":
        """A round of at most `most` concurrent fetches, whose results are taken as they come. Use as a context manager.

        A fetch resolves its host's name before it counts as one of them, so unanswered names do not block others.
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
    """Opens the session in the loop that it will belong to."""
    return open_session()


async def _end(session: OriginSession) -> None:
    """Closes the session and ends the fetches underway, which a stopped loop would leave waiting for ever."""
    underway = asyncio.all_tasks() - {asyncio.current_task()}
    for task in underway:
        task.cancel()
    await asyncio.gather(*underway, return_exceptions=True)
    await session.close()
    await asyncio.sleep(0)  # a closed transport gives up its socket in the loop's next turn


class FetchRound:
    """Concurrent fetches whose results are taken one by one. Those left at the end are cancelled."""

    def __init__(
        self, session: OriginSession, start: Callable[[Coroutine[Any, Any, None]], "Future[None]"], *, most: int
    ) -> None:
        self._session = session
        self._start = start
        self._slots = asyncio.Semaphore(most)
        self._answers: queue.SimpleQueue[tuple[str, int, Fetched | Exception]] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._underway: dict[str, tuple[int, Future[None]]] = {}
        """Name to the number of its newest fetch, and that fetch."""
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        # First: a fetch that is cancelled leaves its slot to one that is not yet.
        self._over = True
        for _, fetch in self._underway.values():
            fetch.cancel()

    def ask(self, name: str, request: FetchRequest) -> None:
        """Begins a fetch, whose result comes under `name`; it replaces a running one of that name."""
        number, replaced = next(self._numbers), self._underway.get(name)
        if replaced is not None:
            replaced[1].cancel()
        self._underway[name] = (number, self._start(self._fetch(name, number, request)))

    def answer(self, *, within_seconds: float) -> tuple[str, Fetched | Exception] | None:
        """The next result, as (name, response or exception); None: none came in time. An exception is a result, since
        it concerns that fetch alone."""
        until_seconds = monotonic() + within_seconds
        while True:
            try:
                name, number, answer = self._answers.get(timeout=max(0.0, until_seconds - monotonic()))
            except queue.Empty:
                return None
            # A fetch may have ended before it was replaced: its result belongs to another URL.
            newest = self._underway.get(name)
            if newest is not None and newest[0] == number:
                del self._underway[name]
                return name, answer

    async def _fetch(self, name: str, number: int, request: FetchRequest) -> None:
        try:
            await self._session.settle_name(request.url)
            async with self._slots:  # the timeout starts with the slot
                if self._over:
                    return
                answer = await self._session.fetch(**vars(request))
        except Exception as error:  # under no other name: this frame, which it holds, would hold it
            self._answers.put((name, number, error))
        else:
            self._answers.put((name, number, answer))


async def _answer(fetch: Coroutine[Any, Any, Fetched]) -> Fetched | FetchError:
    try:
        return await fetch
    except FetchError as error:
        return error
