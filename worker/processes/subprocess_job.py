"""Work in a process of its own, started by a worker's main process: what takes longer than a task may.

Whoever is at it holds a lease, and one that is killed leaves what another can go on with.
"""

import os
import subprocess
import sys
import threading

_NICE = 10
"""Moderation goes first."""


def run_apart(module: str, stopping: threading.Event) -> bool:
    """Runs `python -P -m module` to its end, or until `stopping` is set; gives whether it went well.

    It has this process's environment and log, and tells the log itself what fails.
    """
    with subprocess.Popen([sys.executable, "-P", "-m", module]) as child:  # noqa: S603 - a module of ours
        while child.poll() is None:
            if stopping.wait(1.0):
                child.terminate()
        return child.returncode == 0


def give_way() -> None:
    """Called by such a process first."""
    os.nice(_NICE)
