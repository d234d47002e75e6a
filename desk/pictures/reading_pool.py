"""Threads that read pictures: a few, beside those that serve pages, which a store that hangs costs nothing."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from desk.errors import PictureRefusedError

_Answer = TypeVar("_Answer")

AT_ONCE: Final = 4
"""Pictures that are read and drawn at the same time, <=: each takes some 30 ms and, decoded, 25 MB."""
MOST_WAITING: Final = 100
"""Requests that wait for a thread, <=: two of each of 50 people. One more is refused at once."""
READ_SECONDS: Final = 6.0
"""From the request to the picture; later it is refused, and its thread left alone."""
MOST_HUNG: Final = 12
"""Threads that hang in a store beside those that work, <=. Once there are so many, pictures wait for the store."""


@dataclass(kw_only=True)
class _Run:
    """One piece of work; touched by the event loop only."""

    answer: "asyncio.Future[Any]"
    abandoned: bool = False
    has_slot: bool = True
    """It occupies one of the AT_ONCE; a hung one may have given it up."""


class ReadingPool:
    """Runs blocking work for coroutines of one event loop, in daemon threads: one that hangs ends with the desk."""

    def __init__(self, *, read_seconds: float = READ_SECONDS) -> None:
        self._read_seconds = read_seconds
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._hung = 0

    async def run(self, work: Callable[[], _Answer]) -> _Answer:
        """Returns what `work` returns, or raises what it raises.

        Raises:
            PictureRefusedError: it took too long (`slow`), or too many wait already (`busy`).
        """
        if self._waiting >= MOST_WAITING:
            raise PictureRefusedError("busy")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._read_seconds):
                await self._slots.acquire()
                return await self._in_thread(work)
        except TimeoutError:
            raise PictureRefusedError("slow") from None
        finally:
            self._waiting -= 1

    async def _in_thread(self, work: Callable[[], _Answer]) -> _Answer:
        loop = asyncio.get_running_loop()
        run = _Run(answer=loop.create_future())

        def target() -> None:
            value, failure = None, None
            try:
                value = work()
            except BaseException as error:
                failure = error
            try:
                loop.call_soon_threadsafe(self._ended, run, value, failure)
            except RuntimeError:  # the desk has ended meanwhile
                return

        threading.Thread(target=target, name="pictures", daemon=True).start()
        try:
            answer: _Answer = await run.answer
        except asyncio.CancelledError:
            self._abandon(run)
            raise
        return answer

    def _ended(self, run: _Run, value: object, failure: BaseException | None) -> None:
        if run.has_slot:
            self._slots.release()
        else:
            self._hung -= 1
        if run.abandoned or run.answer.done():
            return
        if failure is None:
            run.answer.set_result(value)
        else:
            run.answer.set_exception(failure)

    def _abandon(self, run: _Run) -> None:
        """Leaves a thread alone; others may have its place, unless too many hang."""
        run.abandoned = True
        if self._hung < MOST_HUNG:
            self._hung += 1
            run.has_slot = False
            self._slots.release()
