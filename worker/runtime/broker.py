"""kombu's Redis transport for Celery's own queues, in which a message that cannot be parsed costs itself only.

In kombu whatever is raised over a message goes through the worker's event loop and ends the worker; the message is
lost, or is there again after the restart. Only workers write to these queues, so this is a second line: `intake`, to
which platforms write, is read in another way (`worker.ingest.messages`).
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any, Final

from kombu.transport import redis, virtual
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError

from worker.logs.failure_log import FailureLog
from worker.runtime.event_loop import EVENT_LOOP

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

TRANSPORT: Final = "worker.runtime.broker.Transport"
"""For Celery's setting `broker_transport`."""


def bind_queues(client: Redis, names: Iterable[str]) -> None:
    """Binds queues to the exchanges of their names, as kombu does when it declares them. kombu does so once a process:
    a program that sends through an exchange, and not to a queue, loses each message where Redis lost the bindings
    since.

    Raises:
        RedisError: Redis failed.
    """
    with client.pipeline(transaction=True) as pipe:
        for name in names:
            member = Channel.sep.join([name, "", name])
            pipe.sadd(Channel.keyprefix_queue % name, member)
            pipe.sadd(Channel.keyprefix_binding_permanent % name, member)  # type: ignore[attr-defined]
        pipe.execute()


class QoS(redis.QoS):
    """Works on where Redis is full: without the copies by which messages are delivered again, which are hints.

    Celery would take an error in here for a lost connection, and end all running tasks.

    A message whose acknowledgement is lost gives its place back all the same: it comes again after the visibility
    time-out. A worker with as many messages as it may have reads nothing, not even that its connection has ended, and
    would be idle for ever.
    """

    def append(self, message: Any, delivery_tag: str) -> None:
        """Notes a message that is delivered now."""
        try:
            super().append(message, delivery_tag)
        except OutOfMemoryError:
            virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Notes that the work of a message is done."""
        with self._place_given_back(delivery_tag):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Gives a message back, or drops it."""
        with self._place_given_back(delivery_tag):
            try:
                super().reject(delivery_tag, requeue=requeue)
            except OutOfMemoryError:
                _trouble.met("full", "a message is not given back: Redis is full")
                super().reject(delivery_tag, requeue=False)

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """Delivers messages again that were not acknowledged in time; later, where Redis has no room.

        kombu does this before a worker is ready, too: an error would keep all from starting, and none would make room.
        """
        try:
            super().restore_visible(start=start, num=num, interval=interval)
        except OutOfMemoryError:
            _log.debug("unacknowledged messages are not delivered again: Redis is full")

    @contextmanager
    def _place_given_back(self, delivery_tag: str) -> Iterator[None]:
        try:
            yield
        finally:
            virtual.QoS.ack(self, delivery_tag)


class Channel(redis.Channel):
    """Drops messages that it cannot parse."""

    QoS = QoS

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Notes the source of a queue's messages; an existing note needs no room."""
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[misc]
        except OutOfMemoryError:
            member = self.sep.join([routing_key or "", pattern or "", queue or ""])
            with self.conn_or_acquire() as client:
                if not client.sismember(self.keyprefix_queue % (exchange,), member):
                    raise

    def _brpop_start(self, timeout: Any = None) -> None:
        """Asks for the next message, if there is a queue to ask for."""
        super()._brpop_start(timeout)  # type: ignore[misc]
        if self._in_poll:  # type: ignore[attr-defined]
            EVENT_LOOP.note_question()

    def _brpop_read(self, **options: Any) -> Any:
        """Reads a message and has it delivered."""
        before = set(self._unacknowledged())
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (Empty, ResponseError, *self.connection_errors):  # type: ignore[attr-defined]
            raise
        except Exception as error:
            # Without its text, which quotes the message.
            kind = type(error).__name__
            text = "a message in Celery's queues is dropped: %s: expected one of Livewarden's tasks"
            _trouble.met(f"dropped {kind}", text, kind, level=logging.ERROR)
            # kombu takes it for delivered: it would hold one of the worker's places, and come again.
            for tag in self._unacknowledged():
                if tag not in before:
                    self.basic_reject(tag, requeue=False)
            return None

    def _connparams(self, asynchronous: bool = False) -> Any:
        """Parameters of the connection; after the transport's end, raises what kombu's callers expect.

        kombu gives messages back when it closes a channel. Where Redis is away that comes after the transport has
        forgotten its address, and kombu 5.7 raises AttributeError, which ends the worker. Messages that were not given
        back come again after the visibility time-out.
        """
        # Without its transport where the channel itself is closed, as by another thread.
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the transport is closed already")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]

    def _unacknowledged(self) -> list[str]:
        """Delivery tags of this worker's messages: a few, as many as it may prefetch."""
        return list(self.qos._delivered or ())


class Transport(redis.Transport):
    """kombu's transport, in which a Redis that takes nothing, full or without room on its disk, counts as away: the
    worker connects again until it takes something. Else its event loop ends, and the worker with it."""

    Channel = Channel

    connection_errors = (*redis.Transport.connection_errors, ResponseError)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Has the loop read this connection, and note that it runs: at least every ten seconds, its longest wait."""
        super().register_with_event_loop(connection, loop)
        loop.on_tick.add(EVENT_LOOP.note_run)
