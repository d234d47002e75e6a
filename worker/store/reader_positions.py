"""Positions of Livewarden's own readers in Redis streams, where they are stored separately and not in a group."""

from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError


def entry_order(entry_id: str) -> tuple[int, int]:
    """Milliseconds and number of an entry's ID, the order of IDs."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def beyond_the_end(redis: Redis, positions: Mapping[str, str]) -> frozenset[str]:
    """The streams whose positions are invalid, or ahead (>) of the stream's last generated ID: after a clock that was
    ahead, or in a stream that was deleted and made anew, new entries would not be read until they pass the position.

    Args:
        positions: by stream, read before this is called, so that entries added meanwhile make none of them wrong.

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
    except ValueError:  # written by an earlier version or by hand
        return False


def _last(about: Any) -> tuple[int, int]:
    if isinstance(about, ResponseError):  # there is no such stream
        return (0, 0)
    if isinstance(about, Exception):
        raise about
    return entry_order(str(about["last-generated-id"]))
