"""Checks of evidence: keys, the spool, and pictures that wait for the store."""

import secrets
from collections.abc import Iterator
from pathlib import Path

from redis import Redis

from config.counts import counted
from config.settings import PREFIX, Settings
from worker.doctor.diagnosis import Diagnosis, fail, ok, warn
from worker.errors import EvidenceError
from worker.evidence.item_states import backlog
from worker.evidence.sealing import Identity, Recipients
from worker.evidence.spool import DAMAGED, UNFINISHED, Spool

LATE_MS = 2 * 60 * 1000
"""Age of the oldest picture that waits for the store, over (>) which something keeps it. It takes seconds."""

FULL_SHARE = 0.8
"""Share of the spool, over (>) which it is nearly full."""

SHOWN = 12
"""Characters of a public key that are shown: they tell keys of one deployment apart."""

_RECIPIENTS = f"{PREFIX}EVIDENCE_RECIPIENTS"
_IDENTITY = f"{PREFIX}EVIDENCE_IDENTITY"


def check_evidence(settings: Settings) -> Iterator[Diagnosis]:
    """Checks the keys and, where pictures are kept, this host's spool."""
    if settings.evidence_recipients is None:
        yield warn(
            "evidence keys",
            "no picture behind an incident is kept: nobody sees what they decide on",
            "make a key with `livewarden evidence keygen FILE`, put the public key into a file of the workers, and "
            f"set {_RECIPIENTS} to it",
        )
        return
    try:
        recipients = Recipients.read(settings.evidence_recipients)
    except EvidenceError as error:
        yield fail(
            "evidence keys",
            str(error),
            f"correct the file that {_RECIPIENTS} names: until then new workers keep no picture, and running ones seal "
            "to the last good keys",
        )
    else:
        yield _keys(settings, recipients)
    yield _spool(Spool.of(settings))


def _keys(settings: Settings, recipients: Recipients) -> Diagnosis:
    names = ", ".join(f"{key[:SHOWN]}…" for key in recipients.public_keys)
    found = f"sealed to {counted(len(recipients.public_keys), 'key')}: {names}"
    if settings.evidence_identity is None:
        return ok("evidence keys", found)
    assert settings.evidence_recipients is not None
    try:
        identity = Identity.read(settings.evidence_identity)
        mode = settings.evidence_identity.stat().st_mode
    except EvidenceError as error:
        return warn("evidence keys", f"{found}; {error}", f"correct {_IDENTITY}: nothing is opened without it")
    except OSError as error:
        return warn("evidence keys", f"{found}; {settings.evidence_identity}: {error.strerror}", f"correct {_IDENTITY}")
    if mode & 0o077:
        return warn(
            "evidence keys",
            f"{found}; other users of this machine may read the private key",
            f"chmod 600 {settings.evidence_identity}",
        )
    if _folder(settings.evidence_identity) == _folder(settings.evidence_recipients):
        return warn(
            "evidence keys",
            f"{found}; the private key lies in the folder of the public ones, which workers read",
            "move it to where no worker can read it",
        )
    if not set(identity.public_keys) & set(recipients.public_keys):
        return warn(
            "evidence keys",
            f"{found}; {_IDENTITY} is none of them",
            "it opens nothing that is sealed now: add its public key, then `livewarden evidence rotate`",
        )
    return ok("evidence keys", f"{found}; {_IDENTITY} opens it")


def _folder(path: Path) -> Path:
    return path.resolve().parent


def _spool(spool: Spool) -> Diagnosis:
    try:
        spool.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = spool.folder / f".doctor-{secrets.token_hex(4)}{UNFINISHED}"
        probe.touch(0o600, exist_ok=False)
        probe.unlink()
        entries = spool.entries()
        damaged = sum(path.name.endswith(DAMAGED) for path in spool.folder.iterdir())
    except OSError as error:
        return fail(
            "evidence spool",
            f"{spool.folder}: {error.strerror}",
            f"let workers write to {PREFIX}SPOOL_DIR: until then no picture is kept",
        )
    except EvidenceError as error:
        return fail("evidence spool", str(error), f"let workers read {PREFIX}SPOOL_DIR")
    used = sum(entry.size_bytes for entry in entries)
    share = used / spool.max_bytes
    found = f"{counted(len(entries), 'picture')}, {used / 1e6:,.1f} of {spool.max_bytes / 1e6:,.0f} MB ({share:.0%})"
    if share > FULL_SHARE:
        return warn(
            "evidence spool",
            f"{found}: context pictures are dropped when it is full, and then new ones are refused",
            f"see what keeps the store from taking them, or set {PREFIX}SPOOL_BYTES higher",
        )
    if damaged:
        return warn(
            "evidence spool",
            f"{found}; {counted(damaged, 'damaged picture')} set aside",
            f"the disk, or somebody, changed files *{DAMAGED} in {spool.folder}: examine both",
        )
    return ok("evidence spool", found)


def examine_backlog(redis: Redis) -> Iterator[Diagnosis]:
    """Checks the pictures of incidents that the store does not have."""
    waiting, oldest_ms = backlog(redis)
    if not waiting:
        yield ok("evidence store", "no picture of an incident waits for the store")
        return
    found = f"{counted(waiting, 'picture')} of incidents, the oldest for {oldest_ms / 1000:,.0f} s"
    if oldest_ms > LATE_MS:
        yield warn(
            "evidence store",
            f"{found}, wait for the store",
            "see that the workers that sealed them run, and what their log says of the store; a host that is lost has "
            "taken its own with it",
        )
    else:
        yield ok("evidence store", f"{found}, on the way to the store")
