"""A client of Redis that shows what it sends: a test may let something happen between two commands."""

from collections.abc import Callable

from redis import Connection, ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def listening(url: str, sends: Callable[[bytes], None]) -> Redis:
    """A client that hands each command to `sends` before it is sent, as it is sent, and does not try again."""

    class Listening(Connection):
        def send_packed_command(self, command: bytes | list[bytes], check_health: bool = True) -> None:
            sends(command if isinstance(command, bytes) else b"".join(command))
            super().send_packed_command(command, check_health)

    pool = ConnectionPool.from_url(
        url, connection_class=Listening, decode_responses=True, retry=Retry(NoBackoff(), retries=0)
    )
    return Redis(connection_pool=pool)
