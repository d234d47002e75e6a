"""Log lines of a polled stream: one for each change of its state, none for a poll."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from hls_origin import LiveOrigin
from redis import Redis

from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.poll.poll import poll_due
from worker.ingest.poll.state_lines import LINES_A_MINUTE, LINES_OF_A_STREAM, STREAM_WINDOW_SECONDS, StateLines
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, DUE_NEW, watch
from worker.logs.fields import all_fields


def test_each_change_of_a_streams_state_is_logged_once(
    redis: Redis, origin: LiveOrigin, caplog: pytest.LogCaptureFixture
) -> None:
    """A platform asks why a stream was not seen at noon: the log would be silent, or have a line for each poll."""
    caplog.set_level(logging.INFO)
    # Each poller stands for its own process: it does not know what another has logged.
    fetchers = [Fetcher(AllowedOrigins.parse([origin.host])) for _ in range(2)]
    watch(redis, register("s", f"{origin.url}?token=s3cret", url_template="", legal_basis=""))

    def polled(times: int = 3) -> list[tuple[str, str, str, str, str]]:
        caplog.clear()
        for number in range(times):
            redis.zrem(DUE_NEW, "s")
            redis.zadd(DUE, {"s": 0})
            assert poll_due(redis, fetchers[number % 2], height_pixels=360, send=lambda *_: None) == 1
        found = [(record, all_fields(record)) for record in caplog.records if record.levelno >= logging.INFO]
        return [
            (
                record.levelname,
                record.getMessage(),
                told["previous_state"],
                told.get("reason", ""),
                str(told.get("problem", "")).rpartition(", ")[2],
            )
            for record, told in found
        ]

    origin.status["/live/index.m3u8"] = 503
    answered = "the origin answered 503"
    assert polled() == [("WARNING", "stream s is unreachable", "waiting", "http_503", answered)]
    origin.status["/live/index.m3u8"] = 404
    assert polled() == [("WARNING", "stream s is unreachable", "unreachable", "http_404", "the origin answered 404")]
    origin.status.clear()
    assert polled() == [("WARNING", "stream s is starting", "unreachable", "", "")]
    origin.add("0.ts", b"x")
    assert polled() == [("INFO", "stream s is live", "starting", "", "")]
    origin.playlist = b"no playlist"
    ((level, said, before, reason, problem),) = polled()
    assert (level, said, before, reason) == ("WARNING", "stream s is malformed", "live", "malformed")
    assert "no playlist" in problem
    origin.playlist, origin.ended = None, True
    assert polled(1) == [("WARNING", "stream s is ended", "malformed", "endlist", "")]
    for fetcher in fetchers:
        fetcher.close()


@pytest.fixture
def polled_as(redis: Redis, origin: LiveOrigin, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., list[str]]]:
    """Polls all watched streams once while the origin answers with that status; gives the messages about them."""
    caplog.set_level(logging.INFO)
    with closing(Fetcher(AllowedOrigins.parse([origin.host]))) as fetcher:

        def poll(*streams: str, status: int) -> list[str]:
            origin.status["/live/index.m3u8"] = status
            caplog.clear()
            for name in streams:
                redis.zrem(DUE_NEW, name)
                redis.zadd(DUE, {name: 0})
            while poll_due(redis, fetcher, height_pixels=360, send=lambda *_: None):
                pass
            return [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]

        yield poll


def test_a_stream_that_changes_at_each_poll_is_logged_ten_times(
    redis: Redis, origin: LiveOrigin, polled_as: Callable[..., list[str]]
) -> None:
    """A hundred broadcasters whose playlists fail in another way at each poll would fill the disk of the log."""
    watch(redis, register("flaps", origin.url, url_template="", legal_basis=""))
    lines = [line for number in range(40) for line in polled_as("flaps", status=(404, 500)[number % 2])]
    assert lines == ["stream flaps is unreachable"] * LINES_OF_A_STREAM
    watch(redis, register("quiet", origin.url, url_template="", legal_basis=""))
    assert polled_as("quiet", status=404) == ["stream quiet is unreachable"]


def test_an_origin_that_fails_with_thousands_of_streams_has_sixty_lines(
    redis: Redis, origin: LiveOrigin, polled_as: Callable[..., list[str]]
) -> None:
    """The lines about all of them would hide what else happens in that minute."""
    names = [f"s{number}" for number in range(LINES_A_MINUTE + 20)]
    for name in names:
        watch(redis, register(name, origin.url, url_template="", legal_basis=""))
    assert len(polled_as(*names, status=503)) == LINES_A_MINUTE


def test_lines_that_were_left_out_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody would see that the log does not have all."""
    now = 0.0
    lines = StateLines(clock=lambda: now)
    live = Cursor(generation=1, rendition="sole", state=StreamState.LIVE)
    away = replace(live, state=StreamState.UNREACHABLE, failures=1)
    for _ in range(LINES_OF_A_STREAM):
        lines.note("s", live, away, "")
        lines.note("s", away, live, "")
    now = STREAM_WINDOW_SECONDS
    caplog.clear()
    lines.note("s", live, away, "")
    (record,) = caplog.records
    assert record.getMessage() == (
        f"stream s is unreachable (after {LINES_OF_A_STREAM} more changes of streams that were left out)"
    )
