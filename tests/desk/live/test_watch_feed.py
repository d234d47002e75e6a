"""The watch in figures, as the queue page states it."""

from contextlib import ExitStack
from datetime import date

import pytest
from redis import Redis

from desk.errors import RequestRefusedError
from desk.live.open_streams import MOST_OF_PERSON, OpenStreams
from desk.live.watch_feed import AGE_SECONDS, CoverageSample, WatchFeed, moderated_share

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def sample(at: float, **days: tuple[float, float]) -> CoverageSample:
    return CoverageSample(at=at, days={{"monday": MONDAY, "tuesday": TUESDAY}[name]: day for name, day in days.items()})


def test_the_share_is_of_the_last_hour() -> None:
    """An outage of this hour would vanish in a good day."""
    samples = [sample(0, monday=(1, 1)), sample(7200, monday=(1000, 1000)), sample(7900, monday=(1100, 1050))]
    assert moderated_share(samples) == (0.5, 700)


def test_the_share_goes_on_over_midnight() -> None:
    """It would be more than everything, or less than nothing, at 00:00 UTC."""
    samples = [sample(0, monday=(1000, 900)), sample(600, monday=(1060, 960), tuesday=(40, 30))]
    assert moderated_share(samples) == (0.9, 600)


def test_at_first_the_share_is_of_today() -> None:
    """Two segments' chance would be stated as coverage."""
    assert moderated_share([sample(0, monday=(10, 0), tuesday=(200, 150))]) == (0.75, None)
    assert moderated_share([sample(0)]) == (None, None)
    assert moderated_share([sample(0, monday=(5, 5)), sample(600, monday=(5, 5))]) == (None, 600)


def test_it_is_read_every_ten_seconds(redis: Redis) -> None:
    """Every page would read all origins again."""
    now = 0.0
    feed = WatchFeed(redis, clock=lambda: now)
    first = feed.newest().summary
    assert first is not None
    assert (first.watched, first.origins) == (0, ())
    redis.zadd("lw:due", {"cam-1": 4_000_000_000_000})
    assert feed.newest().summary is first
    now = AGE_SECONDS
    second = feed.newest().summary
    assert second is not None
    assert second.watched == 1


def test_a_person_has_few_streams() -> None:
    """One browser with many tabs would take the desk from the others."""
    streams = OpenStreams()
    with ExitStack() as open_now:
        for name in ["kim", *["Kim"] * (MOST_OF_PERSON - 1)]:
            open_now.enter_context(streams.opened(name))
        with pytest.raises(RequestRefusedError), streams.opened("KIM"):
            pass
        with streams.opened("noor"):
            pass
    with streams.opened("kim"):
        pass
