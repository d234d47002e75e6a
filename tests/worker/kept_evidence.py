"""Incidents with sealed evidence in Redis, store and spool: for tests of retention."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evidence_items import Pair, sealed_item
from redis import Redis
from scene import Scene

from config.policy.retention import Retention
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.record import CANDIDATE_BUCKET_MS, EvidenceRecord, stored_path
from worker.evidence.spool import Spool
from worker.people.actor import Actor, Role
from worker.queue.decisions import decide_incident
from worker.retention.purge import Purge
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms

AT_ONCE = Retention(harmless_hours=1e-9)
"""Evidence of what is harmless is deleted at once."""

LEAD = Actor(name="lea", role=Role.LEAD)
MODERATOR = Actor(name="mo", role=Role.MODERATOR)


@dataclass(kw_only=True)
class KeptEvidence:
    """A deployment's evidence, in a folder."""

    scene: Scene
    folder: Path
    pair: Pair = field(default_factory=Pair)

    def __post_init__(self) -> None:
        self.store = ObjectStore(str(self.folder / "store"))
        self.spool = Spool(self.folder / "spool", 10_000_000)

    @property
    def redis(self) -> Redis:
        return self.scene.redis

    def incident(self, stream: str = "cam-1", *, outcome: str = "", pictures: int = 2, waiting: int = 0) -> str:
        """Raises an incident with pictures, in the store or `waiting` in the spool, and decides it."""
        incident_id = self.scene.raise_incident(stream)
        for number in range(pictures + waiting):
            self.add_picture(incident_id, stream, stored=number < pictures, seed=number)
        if outcome:
            self.decide(incident_id, outcome)
        return incident_id

    def add_picture(self, incident_id: str, stream: str, *, stored: bool = True, seed: int = 0) -> str:
        """Adds a sealed picture, as a worker does that settles a segment; returns its reference."""
        item = sealed_item(self.pair, seed, stream_id=stream, capture_ms=now_ms(self.redis))
        state = f"{incident_id} stored" if stored else incident_id
        self.redis.hset(f"lw:evidence:{incident_id}", item.ref, EvidenceRecord.of(item, rule="known").to_json())
        self.redis.set(f"lw:evidence:item:{item.ref}", state)
        self.redis.zadd("lw:evidence:due", {incident_id: 0}, nx=True)
        if stored:
            self.store.write(stored_path(incident_id, item.ref), item.sealed)
            EvidenceStore(lambda: self.store).put_candidate(
                now_ms(self.redis) // CANDIDATE_BUCKET_MS, item.ref, item.sealed
            )
        else:
            self.spool.put([item])
            self.redis.zadd("lw:evidence:waiting", {item.ref: 0})
        return item.ref

    def decide(self, incident_id: str, outcome: str) -> None:
        """Decides an incident as a moderator."""
        decide_incident(self.redis, incident_id, outcome, by="mo", note="seen", deployment="test")

    def make_older(self, incident_id: str, *, days: float) -> None:
        """Moves the times of an incident, and of its pictures, into the past."""
        by_ms = round(days * 86_400_000)
        key = f"lw:incident:{incident_id}"
        for name in ("raised_ms", "captured_last_ms", "decided_ms"):
            if (value := self.redis.hget(key, name)) is not None:
                self.redis.hset(key, name, int(value) - by_ms)
        for ref, text in self.redis.hgetall(f"lw:evidence:{incident_id}").items():
            record = json.loads(text)
            record["capture_ms"] -= by_ms
            self.redis.hset(f"lw:evidence:{incident_id}", ref, json.dumps(record))

    def refs(self, incident_id: str) -> set[str]:
        """References of an incident's pictures on record."""
        return {str(ref) for ref in self.redis.hkeys(f"lw:evidence:{incident_id}")}

    def purge(self, retention: Retention = AT_ONCE, **fields: Any) -> Purge:
        """A purge of this deployment."""
        known: dict[str, Any] = {"redis": self.redis, "store": self.store, "spool": self.spool}
        return Purge(**(known | {"retention": retention} | fields))

    def check_now(self) -> None:
        """Makes every incident's next check due."""
        for incident_id in self.redis.zrange("lw:evidence:due", 0, -1):
            self.redis.zadd("lw:evidence:due", {incident_id: 0})

    def files(self) -> set[str]:
        """Paths of all files in store and spool, below the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def entries(self, act: str) -> list[dict[str, Any]]:
        """Unlinked entries of the audit log of one act, the oldest first."""
        found = [json.loads(fields["entry"]) for _, fields in self.redis.xrange("lw:audit:unlinked")]
        return [entry for entry in found if entry["act"] == act]


def keys_with(redis_url: str, text: str) -> set[str]:
    """All keys of Redis whose name or content has `text` in it, without those that live for two minutes
    at most: answers of calls, and batches of polls."""
    found = set()
    with Redis.from_url(redis_url, decode_responses=False) as redis:
        for name in redis.scan_iter(count=1000):
            if name.startswith((b"lw:once:", b"lw:polls:")):
                continue
            read = {
                b"string": redis.get,
                b"hash": redis.hgetall,
                b"list": lambda key: redis.lrange(key, 0, -1),
                b"set": redis.smembers,
                b"zset": lambda key: redis.zrange(key, 0, -1),
                b"stream": redis.xrange,
            }[redis.type(name)]
            if text.encode() in b"%r %r" % (name, read(name)):
                found.add(name.decode())
    return found
