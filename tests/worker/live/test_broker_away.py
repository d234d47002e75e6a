"""Celery's connection to a Redis that goes away while a worker has messages in hand."""

import pytest
from kombu import Connection
from redis.exceptions import ConnectionError as RedisConnectionError

from worker.runtime.broker import TRANSPORT


def test_a_channel_that_closes_after_its_transport_raises_what_celery_expects(redis_url: str):
    """Each worker of a deployment would end with each restart of Redis, and see nothing until it has started again."""
    connection = Connection(redis_url, transport=TRANSPORT)
    channel = connection.channel()
    connection.transport.client = None
    with pytest.raises(RedisConnectionError):
        channel._connparams()
    assert issubclass(RedisConnectionError, connection.transport.connection_errors)
