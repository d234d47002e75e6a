"""The pool that reads pictures: bounded, and nothing waits for a store that hangs."""

import asyncio
import threading

import pytest

from desk.errors import PictureRefusedError
from desk.pictures.failed_openings import LASTING_SECONDS, MOST, PASSING_SECONDS, FailedOpenings
from desk.pictures.reading_pool import AT_ONCE, MOST_HUNG, MOST_WAITING, ReadingPool


def test_few_are_read_at_the_same_time() -> None:
    """Fifty moderators would decode fifty pictures at once, and the desk be out of memory."""
    lock, together = threading.Lock(), []
    running = 0
    full = threading.Event()

    def work() -> int:
        nonlocal running
        with lock:
            running += 1
            together.append(running)
            if running == AT_ONCE:
                full.set()
        assert full.wait(60)
        with lock:
            running -= 1
        return 1

    async def main() -> None:
        pool = ReadingPool()
        assert sum(await asyncio.gather(*(pool.run(work) for _ in range(5 * AT_ONCE)))) == 5 * AT_ONCE

    asyncio.run(main())
    assert max(together) == AT_ONCE


def test_a_store_that_hangs_keeps_no_place_for_long() -> None:
    """One slow store would keep everybody from every picture until the desk is restarted."""
    released = threading.Event()

    async def main() -> None:
        pool = ReadingPool(read_seconds=0.2)
        hung = [pool.run(lambda: released.wait(60)) for _ in range(AT_ONCE)]
        answers = await asyncio.gather(*hung, return_exceptions=True)
        assert all(isinstance(one, PictureRefusedError) and one.reason == "slow" for one in answers)
        assert await pool.run(lambda: 7) == 7
        released.set()

    asyncio.run(main())


def test_threads_that_hang_are_bounded_and_come_back() -> None:
    """A store that hangs for hours would fill the machine with threads; or pictures stay away once it is well."""
    released = threading.Event()

    async def main() -> None:
        pool = ReadingPool(read_seconds=0.2)
        before = threading.active_count()
        for _ in range(MOST_HUNG // AT_ONCE + 3):
            hung = [pool.run(lambda: released.wait(60)) for _ in range(AT_ONCE)]
            await asyncio.gather(*hung, return_exceptions=True)
        assert threading.active_count() - before <= MOST_HUNG + AT_ONCE
        with pytest.raises(PictureRefusedError, match="slow"):
            await pool.run(lambda: 7)
        released.set()
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await pool.run(lambda: 7) == 7
                    break
                except PictureRefusedError:
                    continue

    asyncio.run(main())


def test_too_many_are_refused_at_once() -> None:
    """Requests would pile up in memory behind a slow store."""
    released = threading.Event()

    async def main() -> None:
        pool = ReadingPool()
        waiting = [asyncio.ensure_future(pool.run(lambda: released.wait(60))) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(PictureRefusedError, match="busy"):
            await pool.run(lambda: 7)
        released.set()
        await asyncio.gather(*waiting)

    asyncio.run(main())


def test_an_error_of_the_work_is_the_caller_s() -> None:
    """A picture that is altered would look like a store that hangs."""

    def work() -> None:
        raise PictureRefusedError("altered")

    with pytest.raises(PictureRefusedError, match="altered"):
        asyncio.run(ReadingPool().run(work))


def test_failures_are_remembered_for_a_while() -> None:
    """A tile would say that the store is away long after it came back, or not at all."""
    seconds = [0.0]
    failures = FailedOpenings(clock=lambda: seconds[0])
    assert failures.note("a", "store")
    assert not failures.note("a", "store")
    assert failures.note("b", "altered")
    seconds[0] = PASSING_SECONDS
    assert (failures.reason("a"), failures.reason("b")) == ("", "altered")
    seconds[0] = LASTING_SECONDS
    assert failures.reason("b") == ""
    failures.note("c", "altered")
    failures.forget("c")
    assert failures.reason("c") == ""
    for number in range(MOST + 1):
        failures.note(str(number), "store")
    assert (failures.reason("0"), failures.reason("1")) == ("", "store")
