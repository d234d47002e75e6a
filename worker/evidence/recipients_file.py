"""The file of recipients, followed while a process runs: keys are rotated without a restart."""

import logging
import time
from pathlib import Path
from typing import Final

from worker.errors import EvidenceError
from worker.evidence.sealing import Recipients
from worker.logs.failure_log import FailureLog

READ_AGAIN_SECONDS: Final = 5.0
"""Time for which the file is taken to be unchanged."""

_log = logging.getLogger(__name__)
_troubles = FailureLog(_log)


class RecipientsFile:
    """The recipients in force. Where the file breaks, the last good ones stay: pictures go on being kept."""

    def __init__(self, path: Path | None, *, read_again_seconds: float = READ_AGAIN_SECONDS) -> None:
        """None: the deployment has no recipients."""
        self._path = path
        self._read_again_seconds = read_again_seconds
        self._good: Recipients | None = None
        self._read_at = float("-inf")
        self._trouble: EvidenceError | None = None

    def current(self) -> Recipients:
        """Returns the recipients that are sealed to now.

        Raises:
            EvidenceError: there are none (`no-recipients`), or the file is not usable and never was (`recipients`).
        """
        if self._path is None:
            raise EvidenceError("LIVEWARDEN_EVIDENCE_RECIPIENTS is not set", reason="no-recipients")
        if time.monotonic() - self._read_at >= self._read_again_seconds:
            self._read_at = time.monotonic()
            self._read(self._path)
        if self._good is None:
            assert self._trouble is not None
            raise self._trouble
        return self._good

    @property
    def trouble(self) -> EvidenceError | None:
        """The reason that the file as it is now is not in force; None: it is."""
        return self._trouble

    def _read(self, path: Path) -> None:
        try:
            self._good = Recipients.read(path)
        except EvidenceError as error:
            self._trouble = error
            _troubles.met("recipients", "evidence: %s", error)
        else:
            self._trouble = None
            _troubles.over("recipients", "evidence: the recipients can be read again")


def log_unsealed(path: Path | None) -> None:
    """Logs that a worker which starts keeps no picture, and why."""
    if path is None:
        _log.warning("no picture behind an incident is kept: LIVEWARDEN_EVIDENCE_RECIPIENTS is not set")
        return
    try:
        Recipients.read(path)
    except EvidenceError as error:
        _log.warning("no picture behind an incident is kept: %s", error)
