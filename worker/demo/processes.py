"""Child processes that never outlive the demo, however it ends.

Each child leads a process group of its own, which is ended as one; and on Linux the kernel ends a child whose parent
was killed.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from worker.errors import DemoError

LOG_TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1


class Child:
    """A running program, its process group and its log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        when_orphaned: signal.Signals,
    ) -> None:
        """Starts `command` with `folder` as its working and temporary folder. Call it from the main thread only.

        Args:
            when_orphaned: signal of the kernel to the child if this process dies first. It is sent when the *thread*
                that started the child ends, hence the main thread.
        """
        self.name = name
        self._answers, self._log = folder / f"{name}.out", folder / f"{name}.log"
        with self._answers.open("wb") as answers, self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - every command is the demo's own
                command,
                stdin=subprocess.DEVNULL,
                stdout=answers,
                stderr=log,
                cwd=folder,
                env={**environment, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
                preexec_fn=_dies_with_parent(when_orphaned),
            )

    @property
    def running(self) -> bool:
        """True if the child, the leader of its group, still runs."""
        return self._process.poll() is None

    def first_line(self) -> str | None:
        """The first complete line on the child's standard output, or None as long as there is none."""
        line, newline, _ = self.answers().partition("\n")
        return line if newline else None

    def answers(self) -> str:
        """All that the child has written to standard output."""
        return self._answers.read_text(errors="replace")

    def check(self) -> None:
        """Raises DemoError, with the end of its log, if the child has ended."""
        if not self.running:
            raise DemoError(
                f"{self.name} ended with status {self._process.returncode}; the end of its log:\n{self.log()}"
            )

    def log(self) -> str:
        """The last lines on the child's standard error, indented."""
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join(f"  {line}" for line in lines) or "  (nothing)"

    def ask_to_end(self) -> None:
        """Sends SIGTERM to the child, which ends its own children."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def wait_until(self, deadline: float) -> None:
        """Waits for the child to end, until `deadline` (monotonic seconds) at most."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - monotonic()))

    def kill(self) -> None:
        """Kills the rest of the group and reaps the child; may be called twice."""
        # The group outlives its leader as long as one member does, and its number is not reused meanwhile.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _dies_with_parent(when_orphaned: signal.Signals) -> Callable[[], None] | None:
    """A function that the child runs before its program: asks the kernel to end it when its parent is gone."""
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    # Looked up before the fork: the child of a fork must not load libraries.
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(when_orphaned), 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os.kill(os.getpid(), signal.SIGKILL)

    return ask
