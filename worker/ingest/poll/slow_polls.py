"""Polls of streams whose playlists take long, separate from all others so that these never wait for them.

A marked stream (`worker.ingest.registry.slow_streams`) is due in a set of its own, from which only slow polls take, and
they use the share of the processes that slow work has. The poll that removes the mark moves it back.
"""

from redis import Redis

from worker.ingest.registry.registry import DUE, DUE_SLOW, LONGEST_DUE_MS, stream_key
from worker.ingest.registry.slow_streams import QUICK_PLAYLIST_SECONDS, SlowPart, note_slowness, slow_prefix
from worker.store.redis_client import now_ms, run_script

CHECKED_STREAMS = 500
"""Due streams checked before each batch is taken: ten batches."""


def move_slow(redis: Redis) -> int:
    """Moves due streams that are marked as slow to the slow polls' due set; returns their number. Precedes ordinary
    takes."""
    moved = run_script(
        redis,
        "slow_set_apart",
        keys=[DUE, DUE_SLOW],
        args=[slow_prefix(SlowPart.PLAYLIST), CHECKED_STREAMS, LONGEST_DUE_MS],
    )
    return int(moved)


def hand_over(redis: Redis, stream_id: str, poll_token: str) -> None:
    """Hands a stream leased to an ordinary poll over to a slow poll: not a failed poll, and due immediately."""
    note_slowness(redis, SlowPart.PLAYLIST, stream_id, slow=True, held_seconds=QUICK_PLAYLIST_SECONDS)
    run_script(redis, "slow_hand_over", keys=[stream_key(stream_id), DUE, DUE_SLOW], args=[stream_id, poll_token])


def due_after(redis: Redis, stream_id: str, *, took_seconds: float) -> str:
    """The due set of a stream after a slow poll whose longest fetch took that long."""
    slow = took_seconds > QUICK_PLAYLIST_SECONDS
    still = note_slowness(redis, SlowPart.PLAYLIST, stream_id, slow=slow, held_seconds=took_seconds)
    return DUE_SLOW if still else DUE


def slow_polls_due(redis: Redis) -> bool:
    """Returns whether a stream is due for a slow poll."""
    now = now_ms(redis)
    return bool(redis.zcount(DUE_SLOW, "-inf", now) or redis.zcount(DUE_SLOW, f"({now + LONGEST_DUE_MS}", "+inf"))
