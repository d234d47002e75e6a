"""The copy of the audit log into the store, sealed as evidence is where there are keys for that."""

from pathlib import Path

from worker.audit.copies import copy_log
from worker.audit.segments import Cipher
from worker.evidence.sealing import Recipients
from worker.runtime.worker_process import WorkerProcess
from worker.store.object_store import ObjectStore


def sealed_to(recipients: Path | None) -> Cipher | None:
    """Seals segments to the keys of that file, which is read for each one; None: none is set, and segments are
    clear."""
    if recipients is None:
        return None
    return lambda content: Recipients.read(recipients).encrypt(content)


def copy_audit(process: WorkerProcess) -> bool:
    """Copies the audit log, for a slice of time. True: more is due immediately.

    Raises:
        StoreError: Redis failed.
    """
    settings = process.settings
    return copy_log(
        process.redis,
        ObjectStore(settings.store_url),
        sealed=sealed_to(settings.evidence_recipients),
        deployment=settings.deployment,
    )
