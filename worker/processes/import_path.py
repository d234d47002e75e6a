"""Where modules are imported from."""

import os
import sys
from pathlib import Path

_OURS = Path(__file__).resolve().parents[2]


def leave_out_current_folder() -> None:
    """From now on nothing is imported from the current folder, unless livewarden itself is there.

    Celery puts it before all others while it imports the app: a `redis.py` that lies there would be taken for the
    package.
    """
    try:
        here = Path.cwd().resolve()
    except OSError:  # it is gone
        return
    if here != _OURS:
        sys.path[:] = [entry for entry in sys.path if entry and os.path.realpath(entry) != str(here)]
