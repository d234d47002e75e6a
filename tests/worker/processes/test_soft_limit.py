"""The soft time limit, delivered by real signals at the worst instants: within a model's run, within a rule."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from billiard.pool import soft_timeout_sighandler
from hls_origin import SEGMENT_SECONDS, LiveOrigin, eventually, segment_bytes
from live_stack import celery
from redis import Redis

from worker.errors import OutOfTimeError
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, watch
from worker.ingest.registry.slow_streams import QUICK_SECONDS, SlowPart, is_slow
from worker.ingest.status import stream_status
from worker.processes.soft_limit import SoftLimit, soft_limit
from worker.runtime.segment_task import MAX_LOSSES, moderate_segment
from worker.runtime.worker_process import WorkerProcess

pytestmark = pytest.mark.timeout(method="thread")
"""Timeouts of these tests use a thread: pytest-timeout's signal is the one of the soft limit."""


@pytest.fixture
def process(process_with: Callable[[str | None], WorkerProcess]) -> WorkerProcess:
    return process_with(
        "version: '1'\nrules:\n"
        "  - {name: asking, severity: review, when: 'score(\"open-nsfw/nsfw\") > 0.999'}\n"
        "  - {name: shown, severity: high, when: 'matched(\"selftest\")'}\n"
    )


@pytest.fixture
def handled() -> Iterator[None]:
    """Installs the signal handlers of a pool child."""
    before = signal.signal(signal.SIGUSR1, soft_timeout_sighandler), signal.getsignal(signal.SIGALRM)
    soft_limit.install()
    yield
    for number, handler in zip((signal.SIGUSR1, signal.SIGALRM), before, strict=True):
        signal.signal(number, handler)


@contextmanager
def striking(event: str, file: str, function: str, called: str | None = None) -> Iterator[threading.Event]:
    """Sends this process the signal, once, at that interpreter event of a function, which may take microseconds. Gives
    an event that is set then. `called`: the C function that it calls."""
    struck = threading.Event()

    def watch_and_strike(frame: FrameType, kind: str, argument: object) -> None:
        code = frame.f_code
        if called is not None and getattr(argument, "__name__", None) != called:
            return
        if kind == event and code.co_name == function and code.co_filename.endswith(file):
            sys.setprofile(None)
            struck.set()
            os.kill(os.getpid(), signal.SIGUSR1)

    sys.setprofile(watch_and_strike)
    try:
        yield struck
    finally:
        sys.setprofile(None)


PLACES: dict[str, Callable[[], AbstractContextManager[threading.Event]]] = {
    "a model's run": lambda: striking("c_return", "onnxruntime_inference_collection.py", "run", "run"),
    "a function that CEL calls": lambda: striking("call", "cel/expressions.py", "score"),
    "CEL": lambda: striking("c_return", "cel/expressions.py", "evaluate", "execute"),
}


def admitted(process: WorkerProcess, origin: LiveOrigin) -> str:
    """Watches a stream that shows the test card, in a warmed-up process; gives the key of its one segment."""
    watch(process.redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    process.warm_up()
    origin.add("0.ts", segment_bytes(card=True))
    process.redis.zadd(DUE, {"s": 0}, xx=True)
    keys: list[str] = []
    poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
    (key,) = keys
    return key


@pytest.mark.parametrize("place", PLACES)
def test_a_segment_that_is_out_of_time_is_deferred_wherever_the_signal_arrives(
    process: WorkerProcess, origin: LiveOrigin, handled: None, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The signal would count as a failed model or rule: the segment would be settled as moderated, without its
    findings."""
    key = admitted(process, origin)
    caplog.clear()
    with PLACES[place]() as struck, soft_limit.task():
        moderate_segment(process, "s", key)
    assert struck.is_set()
    # CEL logs what is raised in the functions that it calls.
    logged = [record.getMessage() for record in caplog.records if record.name != "cel"]
    assert logged == [f"stream s segment {key}: out of time"]
    record = stream_status(process.redis, "s")
    assert record["pending_seconds"] == SEGMENT_SECONDS
    assert record["moderated_seconds"] == 0
    assert record["reasons"] == {}
    with soft_limit.task():
        moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    assert record["pending_seconds"] == 0
    assert record["moderated_seconds"] == SEGMENT_SECONDS
    assert record["degraded"] == []
    assert process.redis.xlen("lw:escalations:high") == 1


def test_a_segment_that_is_always_out_of_time_is_closed_at_the_eighth_try(
    process: WorkerProcess, origin: LiveOrigin, handled: None
) -> None:
    """One poisonous segment would use the whole time of a task again and again, and never be in the ledger."""
    key = admitted(process, origin)
    for _ in range(MAX_LOSSES):
        with PLACES["a model's run"]() as struck, soft_limit.task():
            moderate_segment(process, "s", key)
        assert struck.is_set()
        assert stream_status(process.redis, "s")["pending_seconds"] == SEGMENT_SECONDS
    with soft_limit.task():
        moderate_segment(process, "s", key)
    record = stream_status(process.redis, "s")
    assert record["pending_seconds"] == 0
    assert record["reasons"] == {"failed: worker_lost": float(SEGMENT_SECONDS)}


def test_a_stream_whose_segment_was_out_of_time_is_slow(
    process: WorkerProcess, origin: LiveOrigin, handled: None
) -> None:
    """Eight times a segment it would hold a shared process for the whole time of a task."""
    watch(process.redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    origin.add("0.ts", segment_bytes(card=True))
    process.redis.zadd(DUE, {"s": 0}, xx=True)
    keys: list[str] = []
    poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
    gate = origin.hold("0.ts")

    def strike_late() -> None:
        if gate.reached.wait(60) and not gate.opened.wait(QUICK_SECONDS):
            os.kill(os.getpid(), signal.SIGUSR1)

    strike = threading.Thread(target=strike_late)
    strike.start()
    try:
        with soft_limit.task():
            moderate_segment(process, "s", keys[0])
    finally:
        gate.opened.set()
        strike.join()
    assert gate.reached.is_set()
    assert is_slow(process.redis, SlowPart.SEGMENTS, "s")
    assert stream_status(process.redis, "s")["pending_seconds"] == SEGMENT_SECONDS


def test_a_late_answer_of_redis_is_not_read_by_the_next_task(process: WorkerProcess, handled: None) -> None:
    """After a slow Redis cost a task its time, the next task would read the answer to the previous one's command."""
    redis = process.redis
    redis.mset({"mine": "of this task", "other": "of the task before"})
    struck = threading.Event()

    def watch_and_strike(frame: FrameType, kind: str, _argument: object) -> None:
        # redis-py drops the connection where it is interrupted while it sends or reads, but not in between.
        if kind == "return" and frame.f_code.co_name == "send_command":
            sys.setprofile(None)
            struck.set()
            os.kill(os.getpid(), signal.SIGUSR1)

    redis.client_pause(500)
    sys.setprofile(watch_and_strike)
    try:
        with pytest.raises(OutOfTimeError), soft_limit.task():
            redis.get("other")
    finally:
        sys.setprofile(None)
    assert struck.is_set()
    process.drop_connections()
    assert redis.get("mine") == "of this task"


def struck_by_itself() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_a_swallowed_signal_prevents_the_commit(handled: None) -> None:
    """A library that calls back from C swallows every exception: the segment would be settled out of time."""
    done = []

    def work() -> None:
        with soft_limit.task():
            try:
                struck_by_itself()
            except OutOfTimeError:
                done.append("swallowed")
            with soft_limit.commit():
                done.append("committed")

    with pytest.raises(OutOfTimeError):
        work()
    assert done == ["swallowed"]


def test_a_commit_is_not_interrupted(handled: None) -> None:
    """Half of a settlement would be published and not logged."""
    done = []
    with soft_limit.task(), soft_limit.commit():
        struck_by_itself()
        done.append("committed")
    assert done == ["committed"]


class StrikeAt:
    """Acts as the kernel's signal at one of the instants at which the interpreter handles signals and a profiler sees
    it: at the start of a function, and after a call into C."""

    def __init__(self, instant: int) -> None:
        self.left = instant
        self.struck = False

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        self.left -= event in {"call", "c_return"}
        if self.left < 0:
            sys.setprofile(None)
            self.struck = True
            soft_limit.strike(signal.SIGUSR1, frame)


def free(lock: Any) -> bool:
    """True if another thread can acquire the lock."""
    answers = []

    def take() -> None:
        answers.append(lock.acquire(blocking=False))
        if answers[0]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return bool(answers[0])


def test_resources_are_released_wherever_the_signal_arrives(handled: None) -> None:
    """The fetcher's loop would wait for a lock for ever, and every later task of the process for the loop; or a model's
    finished run would still be watched, and its process ended for it."""
    lock, handler = threading.Condition(), logging.StreamHandler(StringIO())
    assert handler.lock is not None
    record = logging.makeLogRecord({"msg": "text"})
    owed: list[str] = []

    @contextmanager
    def owing() -> Iterator[None]:
        owed.append("taken")
        try:
            yield
        finally:
            owed.remove("taken")

    def work(strike: StrikeAt) -> None:
        with soft_limit.task():
            sys.setprofile(strike)
            try:
                with lock:
                    pass
                with owing():
                    pass
                handler.handle(record)
            finally:
                sys.setprofile(None)
            if strike.struck:
                threading.Event().wait(60)

    for instant in range(1000):
        strike = StrikeAt(instant)
        # Its traceback is kept until all is checked: a context manager that is garbage collected cleans up as well.
        caught = None
        try:
            work(strike)
        except OutOfTimeError as error:
            caught = error
        assert (caught is not None) == strike.struck
        assert owed == [], instant
        assert free(lock), instant
        assert free(handler.lock), instant
        if not strike.struck:
            break
    assert 10 < instant < 999


def struck_where_it_is_postponed() -> None:
    def strike(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code is threading.Condition.__exit__.__code__:
            sys.setprofile(None)
            soft_limit.strike(signal.SIGUSR1, frame)

    lock = threading.Condition()
    sys.setprofile(strike)
    try:
        with lock:
            pass
    finally:
        sys.setprofile(None)


def struck_and_committing() -> None:
    struck_where_it_is_postponed()
    with soft_limit.commit():
        pass


def postponed_strike_came() -> None:
    eventually(lambda: signal.getitimer(signal.ITIMER_REAL)[0] == 0, within_seconds=60, what="the signal comes")


def test_a_postponed_signal_does_not_hit_the_next_task(handled: None) -> None:
    """It would be out of time in place of the previous one."""
    with suppress(OutOfTimeError), soft_limit.task():
        struck_where_it_is_postponed()
    with soft_limit.task():
        postponed_strike_came()


def test_a_postponed_signal_is_raised_once(handled: None) -> None:
    """A task that is out of time would be stopped again while it releases its segment."""
    with soft_limit.task():
        with pytest.raises(OutOfTimeError):
            struck_and_committing()
        postponed_strike_came()


def test_a_signal_that_arrives_too_late_stops_nothing(handled: None) -> None:
    """It would end the pool child between two tasks, or the next task in place of its own."""
    with soft_limit.task():
        pass
    struck_by_itself()
    with soft_limit.task(), soft_limit.commit():
        pass


def test_it_replaces_billiards_handler_only() -> None:
    """Celery's main process dumps its threads on the same signal: that handler would be lost."""
    limit = SoftLimit()
    before = signal.getsignal(signal.SIGUSR1)
    try:
        limit.install()
        assert signal.getsignal(signal.SIGUSR1) is before
        signal.signal(signal.SIGUSR1, soft_timeout_sighandler)
        limit.install()
        assert signal.getsignal(signal.SIGUSR1) == limit.strike
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_tasks_that_are_out_of_time_cost_no_pool_child(
    redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path
) -> None:
    """A slow origin or a slow Redis would end worker after worker, and fill the log with tracebacks."""
    environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
    origin.add("0.ts", segment_bytes(card=True))
    gate = origin.hold("0.ts")
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))

    with celery("worker", environment, tmp_path, "--concurrency=1", "--loglevel=INFO") as worker:
        assert gate.reached.wait(60), worker.text()
        (child,) = worker.children()
        # What the main process sends after 16 s.
        os.kill(child, signal.SIGUSR1)
        eventually(lambda: "out of time" in worker.text(), within_seconds=60, what="it strikes")
        gate.opened.set()
        eventually(
            lambda: stream_status(redis, "s")["moderated_seconds"] == SEGMENT_SECONDS,
            within_seconds=60,
            what="the segment is moderated",
        )
        os.kill(child, signal.SIGUSR1)  # between two tasks, or in one that is soon done
        origin.add("1.ts", segment_bytes(card=True))
        eventually(
            lambda: stream_status(redis, "s")["moderated_seconds"] == 2 * SEGMENT_SECONDS,
            within_seconds=60,
            what="the next segment is moderated",
        )
        assert worker.children() == [child]
        text = worker.text()
    assert "out of time" in text
    assert "Traceback" not in text


def test_a_task_that_is_out_of_time_is_retried_once(
    redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path
) -> None:
    """A platform's message that met a slow moment would be lost; or one that always takes too long would be retried for
    ever."""
    environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
    origin.add("0.ts", segment_bytes(card=True))
    gate = origin.hold("index.m3u8")
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    with celery("worker", environment, tmp_path, "--concurrency=1", "--loglevel=INFO") as worker:
        assert gate.reached.wait(60), worker.text()
        (child,) = worker.children()
        os.kill(child, signal.SIGUSR1)
        eventually(
            lambda: "livewarden.poll: out of time, sent once more" in worker.text(),
            within_seconds=60,
            what="it strikes",
        )
        gate.opened.set()
        eventually(
            lambda: stream_status(redis, "s")["moderated_seconds"] == SEGMENT_SECONDS,
            within_seconds=60,
            what="the segment is moderated",
        )
        assert worker.children() == [child]
        text = worker.text()
    assert "Traceback" not in text
