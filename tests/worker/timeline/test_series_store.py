"""Series in Redis."""

import logging
from threading import Thread

import pytest
from redis import Redis
from scene import Scene

from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.open_cases import read_open_cases
from worker.timeline.series import CaseSeries, SeriesSegment, SeriesStretch
from worker.timeline.series_store import BEFORE_MS, MAX_BEFORE, case_series, lately_key, note_segment, series_key

START_MS = 1_800_000_000_000


def a_segment(number: int, seconds: int = 4) -> SeriesSegment:
    begin_ms = START_MS + number * seconds * 1000
    return SeriesSegment(
        key=str(number), begin_ms=begin_ms, stretches=(SeriesStretch(begin_ms, begin_ms + seconds * 1000, ""),)
    )


def case_of(redis: Redis) -> str:
    ((case,), _) = read_open_cases(redis)
    return case.case_id


def test_a_case_has_the_minutes_before_it(redis: Redis, scene: Scene):
    """A moderator would see the finding, and not how it came about."""
    for number in range(5):
        note_segment(redis, "s", "live", a_segment(number))
    assert redis.keys("lw:timeline:*") == []
    scene.raise_incident("s")
    note_segment(redis, "s", "live", a_segment(5))
    case_id = case_of(redis)
    assert case_series(redis, case_id) == CaseSeries().merged(a_segment(number) for number in range(6))
    assert redis.ttl(series_key(case_id)) > 399 * 86_400
    assert 0 < redis.ttl(lately_key("s")) <= 600


def test_nothing_is_written_once_a_person_has_decided(redis: Redis, scene: Scene):
    """The record of a decision would show what the person could not have seen."""
    incident = scene.raise_incident("s")
    note_segment(redis, "s", "live", a_segment(0))
    case_id = case_of(redis)
    assert take(redis, "noor") is not None
    decide_incident(redis, incident, "harmless", by="noor", note="a toy", deployment="test")
    note_segment(redis, "s", "live", a_segment(1))
    assert set(case_series(redis, case_id).known) == {"0"}


def test_a_stream_keeps_few_segments_for_a_case_to_come(redis: Redis):
    """Thousands of streams without a case would fill Redis."""
    for number in range(300):
        note_segment(redis, "s", "live", a_segment(number, seconds=1))
    assert redis.zcard(lately_key("s")) == MAX_BEFORE
    for number in range(1000, 1100):
        note_segment(redis, "t", "live", a_segment(number))
    ((_, oldest), *_) = redis.zrange(lately_key("t"), 0, 0, withscores=True)
    assert oldest == a_segment(1099).begin_ms - BEFORE_MS


def test_a_late_segment_is_in_the_series(redis: Redis, scene: Scene):
    """A stretch that took long to moderate would read as never seen."""
    scene.raise_incident("s")
    for number in (100, 200, 0):
        note_segment(redis, "s", "live", a_segment(number))
    assert case_series(redis, case_of(redis)) == CaseSeries().merged(a_segment(one) for one in (0, 100, 200))


def test_segments_go_on_after_the_clock_went_back(redis: Redis, scene: Scene):
    """The minutes before a case would be missing until the clock is where it was."""
    note_segment(redis, "s", "live", a_segment(5000))
    note_segment(redis, "s", "live", a_segment(1))
    assert redis.zcard(lately_key("s")) == 1


def test_workers_at_once_lose_no_segment(redis: Redis, redis_url: str, scene: Scene):
    """Of two segments that settle together one would be missing."""
    scene.raise_incident("s")

    def work(first: int) -> None:
        with Redis.from_url(redis_url, decode_responses=True) as own:
            for number in range(first, 40, 4):
                note_segment(own, "s", "live", a_segment(number))

    threads = [Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert case_series(redis, case_of(redis)) == CaseSeries().merged(a_segment(number) for number in range(40))


@pytest.mark.parametrize("foreign", ["string", "text", "lately"])
def test_foreign_values_are_replaced(redis: Redis, scene: Scene, caplog: pytest.LogCaptureFixture, foreign: str):
    """One damaged key would keep a case without a timeline, or end the task of its segments."""
    scene.raise_incident("s")
    case_id = case_of(redis)
    if foreign == "string":
        redis.set(series_key(case_id), "x")
    elif foreign == "text":
        redis.hset(series_key(case_id), mapping={"version": "7", "text": "<script>"})
    else:
        redis.set(lately_key("s"), "x")
    with caplog.at_level(logging.WARNING):
        note_segment(redis, "s", "live", a_segment(0))
    assert case_series(redis, case_id) == CaseSeries().merged([a_segment(0)])
