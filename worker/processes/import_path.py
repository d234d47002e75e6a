"""Removes the current folder from the import path."""

import os
import sys
from pathlib import Path

_LIVEWARDEN = Path(__file__).resolve().parents[2]


def leave_out_current_folder() -> None:
    """Keeps imports from the current folder, unless Livewarden itself is there.

    Celery puts that folder first while it imports the app: a `redis.py` in it would shadow the package.
    """
    try:
        here = Path.cwd().resolve()
    except OSError:  # the folder was deleted
        return
    if here != _LIVEWARDEN:
        sys.path[:] = [entry for entry in sys.path if entry and os.path.realpath(entry) != str(here)]
