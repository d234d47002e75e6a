"""A Redis client that exposes its commands, so that a test can act between two of them."""

from collections.abc import Callable

from redis import Connection, ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def listening(url: str, sends: Callable[[bytes], None]) -> Redis:
    """A client that passes each command to `sends` before it is sent, in wire format, and does not retry."""

    class Listening(Connection):
        def send_packed_command(self, command: bytes | list[bytes], check_health: bool = True) -> None:
            sends(command if isinstance(command, bytes) else b"".join(command))
            super().send_packed_command(command, check_health)

    pool = ConnectionPool.from_url(
        url, connection_class=Listening, decode_responses=True, retry=Retry(NoBackoff(), retries=0)
    )
    return Redis(connection_pool=pool)
