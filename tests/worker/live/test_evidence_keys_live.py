"""A real worker that seals evidence: it ends in the store, and nothing of the worker could open it."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from evidence_items import Pair, recipients_file
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import CeleryProcess, celery
from process_tree import descendants_of
from redis import Redis

from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.item_states import states_of
from worker.evidence.reading import EvidenceReader
from worker.evidence.spool import Spool
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.store.object_store import ObjectStore

DRILLS = "lw:escalations:high"
CHUNK_BYTES = 256 * 1024
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def raw_key(secret: str) -> bytes:
    """The 32 bytes that AGE-SECRET-KEY-1… stands for."""
    digits = secret.lower().rpartition("1")[2][:-6]
    number = 0
    for digit in digits:
        number = number << 5 | _BECH32.index(digit)
    return (number >> (5 * len(digits) - 256)).to_bytes(32, "big")


def memory(pid: int) -> Iterator[bytes]:
    """What a process can read, in overlapping pieces."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if not rights.startswith("r") or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            for at in range(start, end, CHUNK_BYTES):
                try:
                    file.seek(at)
                    yield file.read(min(CHUNK_BYTES + 100, end - at))
                except OSError:  # unmapped meanwhile, or a device
                    continue


def processes(worker: CeleryProcess) -> list[int]:
    """The worker and everything below it."""
    return [worker.process.pid, *descendants_of(worker.process.pid)]


def test_a_worker_holds_no_key_that_opens_what_it_sealed(
    redis: Redis,
    origin: LiveOrigin,
    environment: dict[str, str],
    tmp_path: Path,
    ci_or_skip: Callable[[str], NoReturn],
) -> None:
    """Whoever takes over a worker could read all that it sealed before."""
    pair = Pair()
    folder = tmp_path / "state"
    settings = environment | {
        "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(recipients_file(tmp_path / "recipients", [pair])),
        "LIVEWARDEN_SPOOL_DIR": str(folder / "spool"),
        "LIVEWARDEN_STORE_URL": str(folder / "store"),
    }
    for index in range(3):
        origin.add(f"{index}.ts", segment_bytes(card=index == 1))
    origin.ended = True
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    with celery("worker", settings, tmp_path, "--concurrency=1", fresh=True) as worker:
        eventually(lambda: redis.xlen(DRILLS), within_seconds=90, what=worker.text)
        (event,) = [json.loads(fields["event"])["data"] for _, fields in redis.xrange(DRILLS)]
        (named,) = event["evidence"]
        eventually(
            lambda: states_of(redis, [named["ref"]])[named["ref"]].place == "stored",
            within_seconds=60,
            what=worker.text,
        )
        pids = processes(worker)
        assert len(pids) >= 2
        seals = False
        wanted = (pair.secret.encode(), pair.secret.lower().encode(), raw_key(pair.secret))
        for pid in pids:
            assert b"EVIDENCE_IDENTITY" not in Path(f"/proc/{pid}/environ").read_bytes()
            try:
                for piece in memory(pid):
                    assert not any(key in piece for key in wanted), pid
                    seals = seals or pair.public.encode() in piece
            except PermissionError:
                if os.geteuid() == 0:
                    raise
                ci_or_skip("this user may not read a worker's memory")
        # Otherwise the search would find nothing whatever is there.
        assert seals
    reader = EvidenceReader(
        redis=redis,
        store=EvidenceStore(lambda: ObjectStore(str(folder / "store"))),
        spool=Spool(folder / "spool", 1_000_000),
    )
    found, head, _ = reader.open(named["ref"], pair.identity)
    assert (found.incident, head.stream_id) == (event["incident_id"], "s")
    assert (found.record.sha256, head.picture_sha256) == (named["sha256"], named["picture_sha256"])
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(key in content for key in wanted), path


def test_the_raw_key_is_what_age_computes_with() -> None:
    """The search of a worker's memory would look for something else than the key."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    pair = Pair()
    public = X25519PrivateKey.from_private_bytes(raw_key(pair.secret)).public_key().public_bytes_raw()
    assert raw_key(pair.public) == public
