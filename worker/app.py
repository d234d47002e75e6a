"""The Celery app: `celery -A worker.app worker` and `celery -A worker.app beat` need no further argument.

This prepares the process before anything else is imported; the app itself is `worker.runtime.celery_app`.
"""

import os
import sys
from pathlib import Path

_LIVEWARDEN = Path(__file__).resolve().parents[1]


def _leave_out_current_folder() -> None:
    """Keeps imports from the current folder, unless Livewarden itself is there.

    Celery puts that folder first while it imports the app: a `redis.py` in it would shadow the package.
    """
    try:
        here = Path.cwd().resolve()
    except OSError:  # the folder was deleted
        return
    if here != _LIVEWARDEN:
        sys.path[:] = [entry for entry in sys.path if entry and os.path.realpath(entry) != str(here)]


# Before any foreign package is imported.
_leave_out_current_folder()

from worker.processes.blas_threads import keep_numpy_to_one_thread

# Before anything imports NumPy, whose BLAS reads this once.
keep_numpy_to_one_thread(os.environ)

from worker.processes.core_dumps import forbid_dumps

# Before the settings are read, which may hold a password; pool children are forked from this process.
forbid_dumps()

from worker.runtime import lifecycle
from worker.runtime.celery_app import app

__all__ = ["app", "lifecycle"]
