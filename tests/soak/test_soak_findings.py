"""Log findings of the soak: only Celery's own lines about a kill are excused."""

from pathlib import Path

import pytest
from soak_findings import CHILD_KILLED, REDIS_KILLED, Fault, excused, problems

AWAY = "    redis.exceptions.ConnectionError: Error 111 connecting to 127.0.0.1:1. Connection refused."
LOST = '  billiard.exceptions.WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL) Job: 3."""'
TRACE = "  Traceback (most recent call last):"
CELERYS = '    File "/venv/lib/python3.13/site-packages/celery/worker/consumer/consumer.py", line 340, in start'
OURS = '    File "/srv/livewarden/worker/app.py", line 3, in tick_now'


def stamped(level: str, text: str, *, second: int = 10) -> str:
    return f"[2026-11-26 18:00:{second:02},000: {level}/MainProcess] {text}"


def found(folder: Path, *lines: str, kind: str = REDIS_KILLED, killed: tuple[int, ...] = ()) -> list[bool]:
    """True for each problem in a log of these lines that is excused by a kill in its ninth second."""
    log = folder / "worker-0.log"
    log.write_text(stamped("INFO", "ready", second=9) + "\n" + "\n".join(lines) + "\n")
    (first, *_) = problems_of_a_kill = problems(log) or [None]
    if first is None:
        return []
    assert first.at is not None
    at = first.at - (first.at % 60) + 9
    fault = Fault(kind=kind, what="", begun_at=at, over_at=at + 2)
    return [excused(one, [fault], killed) for one in problems_of_a_kill if one is not None]


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (REDIS_KILLED, (stamped("WARNING", "consumer: Connection to broker lost."), TRACE, CELERYS, AWAY)),
        (
            REDIS_KILLED,
            (
                stamped(
                    "ERROR",
                    "consumer: Cannot connect to worker.runtime.broker.Transport://:**@127.0.0.1:1/0: Error 111.",
                ),
            ),
        ),
        (REDIS_KILLED, (stamped("CRITICAL", "Couldn't ack 'b19a', reason:ConnectionError()"), TRACE, CELERYS, AWAY)),
        (REDIS_KILLED, (stamped("ERROR", "beat: Connection error: Error 111. Trying again in 2.0 seconds..."),)),
        (CHILD_KILLED, (stamped("ERROR", "Task handler raised error: WorkerLostError"), TRACE, CELERYS, LOST)),
        (CHILD_KILLED, (stamped("ERROR", "Process 'ForkPoolWorker-2' pid:77 exited with 'signal 9 (SIGKILL)'"),)),
    ],
)
def test_celerys_own_lines_about_a_kill_are_excused(tmp_path: Path, kind: str, lines: tuple[str, ...]) -> None:
    """Each soak would fail for Celery's lines about it."""
    assert found(tmp_path, *lines, kind=kind, killed=(77,)) == [True]


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        # Without a traceback too, and whoever logged it.
        (REDIS_KILLED, (stamped("ERROR", "this worker ends, since one of its processes cannot moderate: x"),)),
        (REDIS_KILLED, (stamped("CRITICAL", "Unrecoverable error: AttributeError"),)),
        (CHILD_KILLED, (stamped("ERROR", "Hard time limit (18s) exceeded for livewarden.segment[1]"),)),
        (CHILD_KILLED, (stamped("CRITICAL", "Unrecoverable error: WorkerLostError"), TRACE, CELERYS, LOST)),
        (REDIS_KILLED, (stamped("CRITICAL", "Couldn't ack 'b19a', reason:ConnectionError()"), TRACE, OURS, AWAY)),
        # A frame of ours; another exception; what the other kill brings about; long after it.
        (REDIS_KILLED, (stamped("ERROR", "x"), TRACE, OURS, AWAY)),
        (REDIS_KILLED, (stamped("WARNING", "x"), TRACE, CELERYS, "  AttributeError: 'NoneType' has no attribute 'x'")),
        (CHILD_KILLED, (stamped("WARNING", "x"), TRACE, CELERYS, AWAY)),
        (REDIS_KILLED, (stamped("ERROR", "x"), TRACE, CELERYS, LOST)),
        (REDIS_KILLED, (stamped("ERROR", "x", second=40), TRACE, CELERYS, AWAY)),
        # A process that ended on its own, and last words without a time.
        (CHILD_KILLED, (stamped("ERROR", "Process 'ForkPoolWorker-2' pid:78 exited with 'signal 9 (SIGKILL)'"),)),
        (CHILD_KILLED, (stamped("ERROR", "Process 'ForkPoolWorker-2' pid:77 exited with 'signal 11 (SIGSEGV)'"),)),
        (
            REDIS_KILLED,
            ("Exception in thread x:", TRACE, '    File "/usr/lib/python3.13/threading.py", line 1', "KeyError: 1"),
        ),
    ],
)
def test_nothing_else_is_excused(tmp_path: Path, kind: str, lines: tuple[str, ...]) -> None:
    """A crash of ours would go unnoticed because something was killed at that time."""
    assert found(tmp_path, *lines, kind=kind, killed=(77,)) == [False]


def test_a_quiet_log_has_no_problem(tmp_path: Path) -> None:
    """The soak would fail for warnings."""
    assert found(tmp_path, stamped("WARNING", "intake is not read: Error 111 connecting")) == []
