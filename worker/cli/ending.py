"""How a command ends that cannot do what it was asked for."""

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.classifiers.classifier import StuckRun

FAILED = 2
"""Exit status after an error that the text explains, as after a usage error."""


def end_where_stuck(run: "StuckRun") -> None:
    """Ends the command in the middle of a model's run that nothing else would end."""
    sys.stderr.write(f"livewarden: {run}\n")
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(FAILED)  # the thread that computes hears no signal, and would be waited for
