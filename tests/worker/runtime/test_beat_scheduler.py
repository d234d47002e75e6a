"""Beat as an operator starts and stops it."""

from pathlib import Path

from hls_origin import eventually
from live_stack import celery
from redis import Redis


def test_beat_ends_on_request_while_it_sends_a_tick(redis: Redis, environment: dict[str, str], tmp_path: Path) -> None:
    """One stop in fifty or so would be ignored, and the supervisor would kill beat after its grace period."""
    with celery("beat", environment, tmp_path, "--loglevel=INFO") as beat:
        eventually(lambda: redis.llen("control"), within_seconds=60, what=beat.text)
        redis.client_pause(20_000, all=False)
        eventually(
            lambda: any(
                "b" in one["flags"] and one["cmd"] in {"exec", "lpush", "multi"} for one in redis.client_list()
            ),
            within_seconds=60,
            what=lambda: f"a tick is under way: {redis.client_list()}",
        )
        beat.process.terminate()
        try:
            assert beat.process.wait(60) == 0
        finally:
            redis.client_unpause()
    assert "Traceback" not in beat.text()
    assert "trouble" not in beat.text()
