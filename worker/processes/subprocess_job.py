"""Jobs in a subprocess of a worker's main process, for work that takes longer than a task may.

The job holds a lease, and another process can continue the work of one that was killed.
"""

import logging
import os
import subprocess
import sys
import threading

from config.environment import load_settings
from config.settings import Settings
from worker.logs.setup import log_format_of, set_up_logging
from worker.processes.core_dumps import forbid_dumps

_NICE = 10
"""Moderation has priority."""


def run_subprocess_job(module: str, stopping: threading.Event) -> bool:
    """Runs `python -P -m module` to its end, or until `stopping` is set; returns whether it succeeded.

    It has this process's environment and log, and logs its failures itself.
    """
    with subprocess.Popen([sys.executable, "-P", "-m", module]) as child:  # noqa: S603 - a module of Livewarden's
        while child.poll() is None:
            if stopping.wait(1.0):
                child.terminate()
        return child.returncode == 0


def begin_job() -> Settings:
    """Sets up the job's process, in which it is called first, and reads the settings of its environment."""
    forbid_dumps()
    set_up_logging(logging.INFO, log_format_of(os.environ))
    os.nice(_NICE)
    return load_settings(os.environ)
