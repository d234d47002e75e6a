"""Cases with sealed pictures, and a desk that has the key: for tests of pictures."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
from desk_server import HostClock, RunningDesk, csrf_of, serving_desk
from evidence_items import Pair, head_of, identity_file, sealed_item
from kept_evidence import KeptEvidence
from redis import Redis
from scene import Scene

from config.facts import Severity
from config.settings import Settings
from desk.database.connection import DeskDatabase
from worker.evidence.item import EvidenceKind, SealedItem
from worker.evidence.picture import to_jpeg
from worker.evidence.record import EvidenceRecord, stored_path
from worker.evidence.sealing import seal
from worker.store.redis_client import now_ms


@dataclass(kw_only=True)
class PictureCases:
    """Cases with pictures of one desk's store."""

    kept: KeptEvidence

    @property
    def redis(self) -> Redis:
        return self.kept.redis

    @property
    def folder(self) -> Path:
        return self.kept.folder

    def case(self, stream: str = "cam-1", severity: Severity = Severity.HIGH) -> str:
        """A case without pictures; gives its incident. HIGH: by a score; CRITICAL: known material."""
        return self.kept.scene.raise_incident(stream, severity)

    def case_id(self, incident: str) -> str:
        return str(self.redis.hget(f"lw:incident:{incident}", "case"))

    def add(self, incident: str, item: SealedItem | None = None, *, place: str = "stored", **chosen_by: Any) -> str:
        """Adds a sealed picture to an incident; gives its reference."""
        stream = str(self.redis.hget(f"lw:incident:{incident}", "stream_id"))
        if item is None:
            item = self.sealed(stream, seed=self.redis.hlen(f"lw:evidence:{incident}"))
        record = EvidenceRecord.of(item, **({"rule": "likely", "severity": "high", "score": 0.95} | chosen_by))
        self.redis.hset(f"lw:evidence:{incident}", item.ref, record.to_json())
        self.redis.set(f"lw:evidence:item:{item.ref}", f"{incident} {place}".strip())
        if place == "stored":
            self.kept.store.write(stored_path(incident, item.ref), item.sealed)
        return item.ref

    def sealed(self, stream: str = "cam-1", *, seed: int = 0, **fields: Any) -> SealedItem:
        """A sealed picture of a stream, without matches unless they are given."""
        plain = {"stream_id": stream, "capture_ms": now_ms(self.redis), "matches": (), "rules": ("likely",)}
        return sealed_item(self.kept.pair, seed, **(plain | fields))

    def sealed_pixels(self, rgb: np.ndarray, **fields: Any) -> SealedItem:
        """That picture, sealed."""
        jpeg = to_jpeg(rgb)
        plain = {"stream_id": "cam-1", "capture_ms": now_ms(self.redis), "matches": ()}
        return seal(head_of(jpeg, **(plain | fields)), jpeg, self.kept.pair.recipients)

    def path_of(self, incident: str, ref: str) -> Path:
        return self.folder / "store" / stored_path(incident, ref)

    def views(self) -> list[dict[str, Any]]:
        """Entries of views in the audit log, the oldest first."""
        entries = [json.loads(fields["entry"]) for _, fields in self.redis.xrange("lw:audit:unlinked")]
        return [entry for entry in entries if entry["act"] == "view"]


CONTEXT = {"kind": EvidenceKind.CONTEXT, "rules": (), "reason": "after"}


@contextmanager
def desk_with_key(
    redis: Redis, database: DeskDatabase, scene: Scene, folder: Path, **settings: Any
) -> Iterator[tuple[RunningDesk, PictureCases, HostClock]]:
    """A desk that can open what is sealed in `folder`."""
    pair, clock = Pair(), HostClock()
    values: dict[str, Any] = {
        "store_url": str(folder / "store"),
        "spool_dir": folder / "spool",
        "evidence_identity": identity_file(folder / "desk.key", pair),
    }
    cases = PictureCases(kept=KeptEvidence(scene=scene, folder=folder, pair=pair))
    with serving_desk(redis, database, clock=clock, settings=Settings(**(values | settings))) as desk:
        yield desk, cases, clock


def ask_clear(client: httpx.Client, ref: str, *, reason: str = "unclear", **form: str) -> httpx.Response:
    """Asks for a clear view, as htmx does."""
    data = {"csrf": csrf_of(client), "reason": reason, **form}
    return client.post(f"/pictures/{ref}/clear", data=data, headers={"hx-request": "true"})


def decoded_image(answer: httpx.Response) -> np.ndarray:
    """The picture of an answer: uint8, (height, width, 3), BGR."""
    assert answer.status_code == 200, answer.text
    image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def picture_record(ref: str, **fields: Any) -> str:
    """The record of a picture that lies in no store: pages about decisions read nothing else of it."""
    record = EvidenceRecord(
        ref=ref,
        sha256="0" * 64,
        picture_sha256="1" * 64,
        kind=EvidenceKind.HIT,
        capture_ms=1000,
        stream_id="cam-1",
        segment="s",
        pts_seconds=0.0,
        size_bytes=1,
    )
    return replace(record, **fields).to_json()
