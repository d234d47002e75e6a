"""The end of a command that failed."""

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.classifiers.classifier import StuckRun

FAILED = 2
"""Exit status after an error that stderr explains, as after a usage error."""

UNREAD = 141
"""Exit status where whoever reads standard output ended first (`| head`), as a shell has it of a program that SIGPIPE
ended. Statuses 1 to 4 are answers of commands, which nobody gave."""


def end_where_stuck(run: "StuckRun") -> None:
    """Ends the command during a model's run that nothing else would end."""
    sys.stderr.write(f"livewarden: {run}\n")
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(FAILED)  # the computing thread handles no signal, and Python would wait for it
