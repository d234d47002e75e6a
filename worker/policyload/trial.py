"""Tries the models of a policy in a separate process, before the policy comes into force.

A worker's main process must build no session: its pool children are forked from it. And a graph may hang or crash the
process that tries it.
"""

import logging
import os
import signal
import subprocess
import sys
from typing import Final

from config.errors import LivewardenError
from config.settings import Settings
from models.classifiers.classifier import StuckRun
from models.errors import ClassifierError
from worker.logs.setup import log_format_of, set_up_logging
from worker.policyload.checked_policy import read_policy_and_models
from worker.processes.core_dumps import forbid_dumps

TRIAL_SECONDS: Final = 300
"""For building and trying all sessions together; on a GPU each is compiled."""

_REFUSED: Final = 2
"""Exit status where the problem is on standard output."""


def try_in_subprocess(policy: bytes) -> None:
    """Builds and tries the sessions that a policy needs, with the settings of this process's environment.

    Raises:
        ClassifierError: one does not work; the text names it.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "worker.policyload.trial"], input=policy, stdout=subprocess.PIPE, check=False
    )
    if done.returncode == -signal.SIGALRM:
        raise ClassifierError(f"the models' sessions could not be built and tried within {TRIAL_SECONDS} s")
    if done.returncode == _REFUSED:
        raise ClassifierError(done.stdout.decode(errors="replace").strip())
    if done.returncode:
        raise ClassifierError(f"the process that tried the models' sessions ended with status {done.returncode}")


def _refuse(problem: LivewardenError | StuckRun) -> None:
    sys.stdout.write(f"{problem}\n")
    sys.stdout.flush()
    os._exit(_REFUSED)  # immediately: another thread may compute without end


def main() -> None:
    """Reads a policy from standard input, and prints problems of its models to standard output."""
    forbid_dumps()
    set_up_logging(logging.WARNING, log_format_of(os.environ))
    # The kernel's own end: while a session is built or runs, Python handles no signal.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(TRIAL_SECONDS)
    try:
        settings = Settings.from_mapping(os.environ)
        _, classifiers = read_policy_and_models(sys.stdin.buffer.read(), settings.policy_file, settings)
        for classifier in classifiers:
            classifier.prepare(when_stuck=_refuse)
    except LivewardenError as error:
        _refuse(error)


if __name__ == "__main__":
    main()
