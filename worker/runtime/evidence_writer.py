"""Evidence of a worker process: what its segments are sealed to, and their way into the spool."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from worker.errors import EvidenceError
from worker.evidence.item import EvidenceKind, SealedItem
from worker.evidence.recipients_file import RecipientsFile
from worker.evidence.sealing import Recipients
from worker.evidence.spool import Spool
from worker.incidents.segment_evidence import OpenContext, SegmentEvidence
from worker.logs.failure_log import FailureLog
from worker.moderation.evidence_capture import CaptureRequest

SPOOL_SECONDS: Final = 1.0
"""For which a segment waits for the spool. A disk that syncs takes milliseconds; one that hangs must not hold back an
escalation for as long as the kernel waits for it."""

_log = logging.getLogger(__name__)
_not_kept = FailureLog(_log)


class EvidenceWriter:
    """Requests evidence of segments, and keeps what comes of it. Never raises, nor waits longer than SPOOL_SECONDS."""

    def __init__(self, recipients: RecipientsFile, spool: Spool) -> None:
        self._recipients = recipients
        self._spool = spool
        self._idle = threading.Lock()
        """Held while the spool is written, also by a write that nobody waits for any more."""

    def request(
        self, segment: str, *, sealed_ms: int, versions: Mapping[str, Any], open_contexts: Sequence[OpenContext]
    ) -> CaptureRequest:
        """The request for a segment's evidence, with the recipients in force."""
        recipients: Recipients | None = None
        missing = ""
        try:
            recipients = self._recipients.current()
        except EvidenceError as error:
            missing = error.reason
        return CaptureRequest(
            recipients=recipients,
            missing=missing,
            segment=segment,
            sealed_ms=sealed_ms,
            versions=versions,
            open_contexts=open_contexts,
        )

    def keep(self, evidence: SegmentEvidence) -> SegmentEvidence:
        """Writes a segment's sealed pictures to the spool; returns those that are on disk.

        Where the spool has no room for all, it keeps a hit of each rule.
        """
        if not evidence.items:
            return evidence
        reason = self._put(evidence.items)
        if reason == "spool-full":
            few = _one_a_rule(evidence)
            if 0 < len(few) < len(evidence.items):
                items = [item for item in evidence.items if item.ref in few]
                if not self._put(items):
                    return evidence.only(few, reason)
        if not reason:
            _not_kept.over("spool", "evidence: pictures are kept again")
            return evidence
        _not_kept.met("spool", "evidence: pictures are not kept: %s", reason, reason=reason)
        return evidence.lost(reason)

    def recipients(self) -> Recipients:
        """The recipients in force.

        Raises:
            EvidenceError: there are none, or their file is not usable.
        """
        return self._recipients.current()

    def put(self, item: SealedItem) -> None:
        """Writes one picture to the spool.

        Raises:
            EvidenceError: it is not on disk.
        """
        reason = self._put([item])
        if reason:
            raise EvidenceError(f"evidence {item.ref}: not kept: {reason}", reason=reason)

    def drop(self, refs: Collection[str]) -> None:
        """Removes pictures that no incident takes; those that are left are deleted after ten minutes."""
        if refs:
            self._work(lambda: self._spool.drop(refs))

    def _put(self, items: Sequence[SealedItem]) -> str:
        """Writes to the spool; returns the reason that it failed, or an empty text."""
        return self._work(lambda: self._spool.put(items))

    def _work(self, work: Callable[[], object]) -> str:
        if not self._idle.acquire(blocking=False):
            return "spool-slow"
        outcome: list[str] = []
        written = threading.Event()

        def write() -> None:
            try:
                work()
                outcome.append("")
            except EvidenceError as error:
                outcome.append(error.reason)
            except Exception as error:  # an escalation does not depend on it
                _log.warning("evidence: the spool cannot be written: %s", type(error).__name__)
            finally:
                self._idle.release()
                written.set()

        try:
            threading.Thread(target=write, name="spool", daemon=True).start()
        except RuntimeError:  # no more threads
            self._idle.release()
            return "spool"
        if not written.wait(SPOOL_SECONDS):
            return "spool-slow"
        return outcome[0] if outcome else "spool"


def _one_a_rule(evidence: SegmentEvidence) -> frozenset[str]:
    """References of the first hit of each rule."""
    firsts: dict[str, str] = {}
    for record in evidence.candidates:
        if record.kind is EvidenceKind.HIT:
            firsts.setdefault(record.rule, record.ref)
    return frozenset(firsts.values())
