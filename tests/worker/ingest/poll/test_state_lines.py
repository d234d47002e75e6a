"""Log lines of a polled stream: one for each change of its state, none for a poll."""

import logging

import pytest
from hls_origin import LiveOrigin
from redis import Redis

from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.poll.poll import poll_due
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
