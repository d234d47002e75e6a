"""Order in which workers read the queues."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection, Exchange, Message, Queue

from worker.ingest.pending.queues import CONTROL, CONTROL_SLOW, QUEUES, SEGMENTS, SEGMENTS_SLOW, SLOW_QUEUES, URGENT
from worker.runtime.occupancy import Occupancy
from worker.runtime.queue_order import WHEEL, WeightedQueueOrder

CONSUMED = tuple(queue for queue in QUEUES if queue != "intake")
IDLE = Occupancy(processes=8, slow=0)


class Worker:
    """Takes messages as kombu does: from the first queue in order that has one."""

    def __init__(self, processes: int = 8) -> None:
        self.processes, self.slow, self.now_seconds = processes, 0, 0.0
        self.order = WeightedQueueOrder(
            occupancy=lambda: Occupancy(processes=self.processes, slow=self.slow), clock=lambda: self.now_seconds
        )
        self.order.update(CONSUMED)

    def take(self, full: Sequence[str] | set[str]) -> str | None:
        queue = next((queue for queue in self.order.consume(len(CONSUMED)) if queue in full), None)
        if queue is not None:
            self.order.rotate(queue)
        return queue


def gaps(served: Sequence[str | None], available: Sequence[set[str]], queue: str) -> int:
    """The longest run of turns in which `queue` had messages waiting and others were taken."""
    longest = row = 0
    for taken, full in zip(served, available, strict=True):
        row = row + 1 if queue in full and taken != queue else 0
        longest = max(longest, row)
    return longest


@given(st.lists(st.sets(st.sampled_from(CONSUMED)), max_size=120))
def test_no_queue_is_starved_whatever_the_others_hold(available: list[set[str]]):
    """A flood of polls would starve urgent streams, or a flood of urgent segments all others."""
    worker = Worker()
    served = [worker.take(full) for full in available]
    turns = [(taken, full) for taken, full in zip(served, available, strict=True) if full]
    taken, full = [turn[0] for turn in turns], [turn[1] for turn in turns]
    assert None not in taken
    for queue in (CONTROL, URGENT, SEGMENTS):
        assert gaps(taken, full, queue) < 8, queue
    for queue in SLOW_QUEUES:
        assert gaps(taken, full, queue) < 16, queue


@given(
    st.lists(st.sets(st.sampled_from([queue for queue in CONSUMED if queue != URGENT])), min_size=8, max_size=60),
)
def test_urgent_segments_have_most_of_the_turns(others: list[set[str]]):
    """Urgent streams would wait behind ordinary ones."""
    worker = Worker()
    served = [worker.take(full | {URGENT}) for full in others]
    for at in range(len(served) - 7):
        assert served[at : at + 8].count(URGENT) >= 4


def test_constant_polls_leave_urgent_streams_their_turns():
    """With polls always waiting, no urgent segment would ever be taken."""
    worker = Worker()
    served = [worker.take({CONTROL, URGENT, SEGMENTS}) for _ in range(8 * 10)]
    assert {queue: served.count(queue) for queue in (URGENT, CONTROL, SEGMENTS)} == {
        URGENT: 60,
        CONTROL: 10,
        SEGMENTS: 10,
    }


@pytest.mark.parametrize("queue", CONSUMED)
def test_an_idle_queue_costs_nothing(queue: str):
    """A message would wait although no other queue has any."""
    worker = Worker()
    assert [worker.take({queue}) for _ in range(20)] == [queue] * 20


@pytest.mark.parametrize(("processes", "most"), [(2, 1), (3, 1), (4, 1), (7, 1), (8, 2), (16, 4)])
def test_slow_streams_hold_a_quarter_of_the_processes(processes: int, most: int):
    """Slow origins would hold every process, and no other stream would be watched."""
    worker = Worker(processes)
    while worker.take(SLOW_QUEUES) is not None:
        worker.slow += 1
        assert worker.slow < processes
    assert worker.slow == most
    assert worker.take({*CONSUMED}) not in SLOW_QUEUES
    worker.slow -= 1
    assert worker.take(SLOW_QUEUES) is not None


def test_slow_polls_and_slow_segments_alternate():
    """Slow playlists would keep every segment of a slow origin from being fetched."""
    worker = Worker()
    assert [worker.take(SLOW_QUEUES) for _ in range(4)] == [CONTROL_SLOW, SEGMENTS_SLOW] * 2


def test_a_worker_with_one_process_gives_slow_streams_a_quarter_of_its_time():
    """The smallest deployment would serve only the slowest origin."""
    worker = Worker(processes=1)
    assert worker.take({SEGMENTS_SLOW}) == SEGMENTS_SLOW
    worker.now_seconds += 5
    assert worker.take({*CONSUMED}) not in SLOW_QUEUES
    worker.now_seconds += 14.9
    assert worker.take({SEGMENTS_SLOW}) is None
    worker.now_seconds += 0.2
    assert worker.take({SEGMENTS_SLOW}) == SEGMENTS_SLOW


def test_a_worker_for_slow_queues_alone_uses_all_its_processes():
    """Processes that an operator adds for slow origins with `-Q segments.slow` would stay idle."""
    worker = Worker(processes=2)
    worker.order.update([SEGMENTS_SLOW])
    worker.slow = 1
    assert worker.take({SEGMENTS_SLOW}) == SEGMENTS_SLOW


def test_the_wheel_contains_each_queue():
    """With a slot too few, a queue would have no guaranteed share."""
    assert len(WHEEL) == 8
    assert {*WHEEL} == {URGENT, CONTROL, SEGMENTS, "slow"}


def test_kombu_takes_messages_in_this_order(redis_url: str):
    """The broker's client would ignore our order."""
    options = {"queue_order_strategy": "worker.runtime.queue_order.WeightedQueueOrder"}
    taken: list[str] = []
    with Connection(redis_url, transport_options=options) as connection:
        queues = [Queue(name, Exchange(name), routing_key=name) for name in (CONTROL, URGENT, SEGMENTS)]
        with connection.Producer() as producer:
            for _ in range(8):
                for queue in queues:
                    producer.publish({}, exchange=queue.exchange, routing_key=queue.name, declare=[queue])

        def take(_: object, message: Message) -> None:
            taken.append(str((message.delivery_info or {})["routing_key"]))
            message.ack()

        with connection.Consumer(queues, callbacks=[take], prefetch_count=1):
            while len(taken) < 24:
                connection.drain_events(timeout=5)
    assert taken[:8] == [URGENT, CONTROL, URGENT, SEGMENTS, *[URGENT] * 4]
    assert {queue: taken.count(queue) for queue in (URGENT, CONTROL, SEGMENTS)} == {URGENT: 8, CONTROL: 8, SEGMENTS: 8}
