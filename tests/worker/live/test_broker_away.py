"""Celery's connection to a Redis that becomes unreachable while a worker has unacknowledged messages."""

import pytest
from kombu import Connection
from redis.exceptions import ConnectionError as RedisConnectionError

from worker.runtime.broker import TRANSPORT


def test_a_channel_closed_after_its_transport_raises_the_error_that_celery_expects(redis_url: str):
    """Each restart of Redis would end every worker of a deployment."""
    connection = Connection(redis_url, transport=TRANSPORT)
    channel = connection.channel()
    connection.transport.client = None
    with pytest.raises(RedisConnectionError):
        channel._connparams()
    assert issubclass(RedisConnectionError, connection.transport.connection_errors)
