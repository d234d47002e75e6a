"""`livewarden demo` as a user runs it: a real process with all its children."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hls_origin import eventually

ENDS_WITHIN_SECONDS = 3.0

ProcessesIn = Callable[[Path], dict[int, str]]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A running demo."""

    process: subprocess.Popen[str]
    folder: Path
    """Its temporary folder: files left in it afterwards are leftovers."""
    processes_in: ProcessesIn

    def children(self) -> dict[int, str]:
        """The demo's direct and indirect children by process ID: all of them work in the temporary folder."""
        return self.processes_in(self.folder)

    def wait_for(self, text: str) -> None:
        """Reads its output until `text` is in it."""
        assert self.process.stdout is not None
        seen = []
        for line in self.process.stdout:
            seen.append(line)
            if text in line:
                return
        pytest.fail(f"the demo ended without {text!r}:\n{''.join(seen)}")


@pytest.fixture
def start(tmp_path: Path, processes_in: ProcessesIn) -> Iterator[Callable[..., Demo]]:
    """Starts a demo with the given arguments; kills its remaining processes afterwards."""
    demos: list[Demo] = []

    def run(*arguments: str) -> Demo:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli.main", "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        demos.append(Demo(process=process, folder=tmp_path, processes_in=processes_in))
        return demos[-1]

    yield run
    for demo in demos:
        demo.process.kill()
        demo.process.communicate()
        for pid in demo.children():
            os.kill(pid, signal.SIGKILL)


def test_once_ends_with_the_first_escalation_and_leaves_nothing(start: Callable[..., Demo]) -> None:
    """A newcomer's first command would fail, or leave files and processes behind."""
    demo = start("--once")
    output, _ = demo.process.communicate(timeout=110)
    assert demo.process.returncode == 0, output
    assert "raised on demo" in output
    assert "by selftest" in output
    assert "workers cannot open it, the reviewer can" in output, output
    assert "Grey and blurred:" in output
    assert "Clear, with a reason on record:" in output
    eventually(lambda: demo.children() == {}, within_seconds=60, what=lambda: str(demo.children()))
    assert list(demo.folder.iterdir()) == []


@pytest.mark.alone
@pytest.mark.parametrize(
    ("number", "when"),
    [
        pytest.param(signal.SIGINT, "is live", id="SIGINT at work"),
        pytest.param(signal.SIGTERM, "Watching", id="SIGTERM while the worker starts"),
        pytest.param(signal.SIGHUP, "Starting", id="terminal closed while Valkey starts"),
    ],
)
def test_ends_within_three_seconds_when_interrupted(
    start: Callable[..., Demo], number: signal.Signals, when: str
) -> None:
    """Ctrl-C would hang, print a traceback, or leave processes or files behind."""
    demo = start()
    demo.wait_for(when)
    demo.process.send_signal(number)
    output, _ = demo.process.communicate(timeout=ENDS_WITHIN_SECONDS)
    assert demo.process.returncode == 0, output
    assert "Traceback" not in output
    eventually(lambda: demo.children() == {}, within_seconds=60, what=lambda: str(demo.children()))
    assert list(demo.folder.iterdir()) == []


def test_nothing_survives_a_killed_demo(start: Callable[..., Demo]) -> None:
    """A killed demo would leave workers behind that poll, encode and hold ports indefinitely."""
    demo = start()
    demo.wait_for("Watching")
    children = {pid: os.pidfd_open(pid) for pid in demo.children()}
    assert len(children) >= 5  # the origin, Valkey and its supervisor, worker, beat
    demo.process.kill()
    demo.process.communicate(timeout=ENDS_WITHIN_SECONDS + 7)
    for pid, descriptor in children.items():
        ended, _, _ = select.select([descriptor], [], [], 10)
        os.close(descriptor)
        assert ended, f"{pid} is still running"


@pytest.mark.alone
def test_a_missing_stream_is_reported(start: Callable[..., Demo]) -> None:
    """A user who mistypes the URL of a stream would wait without seeing a reason."""
    demo = start("--url", "http://127.0.0.1:9/live.m3u8")
    demo.wait_for("unreachable")
    demo.process.send_signal(signal.SIGINT)
    demo.process.communicate(timeout=ENDS_WITHIN_SECONDS)
