"""How far readers of our own have come in streams, where that is noted beside the stream and not by a group."""

from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError


def entry_order(entry_id: str) -> tuple[int, int]:
    """Milliseconds and number of an entry's ID, by which IDs are in order."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def beyond_the_end(redis: Redis, positions: Mapping[str, str]) -> frozenset[str]:
    """The streams whose positions lie ahead (>) of the last ID that they ever gave, or are no positions: no entry of
    theirs is at such a position, and those that come would not be read for as long as the clock was ahead that it was
    taken from, or that a stream had which was here before.

    Args:
        positions: by stream, read before this is called: what comes meanwhile makes none of them wrong.

    Raises:
        redis.exceptions.RedisError: Redis failed.
    """
    with redis.pipeline(transaction=False) as pipe:
        for stream in positions:
            pipe.xinfo_stream(stream)
        found: list[Any] = pipe.execute(raise_on_error=False)
    return frozenset(
        stream
        for (stream, position), about in zip(positions.items(), found, strict=True)
        if not _is_before(position, _last(about))
    )


def _is_before(position: str, last: tuple[int, int]) -> bool:
    try:
        return entry_order(position) <= last
    except ValueError:  # it is none: an earlier version's, or a hand's
        return False


def _last(about: Any) -> tuple[int, int]:
    if isinstance(about, ResponseError):  # there is no such stream
        return (0, 0)
    if isinstance(about, Exception):
        raise about
    return entry_order(str(about["last-generated-id"]))
