"""Fifty deaths of a real worker: whatever is published has its pictures."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

import pytest
from evidence_items import Pair, recipients_file
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import celery
from redis import Redis

from worker.errors import EvidenceError
from worker.evidence.item import digest_of
from worker.evidence.sealing import open_sealed
from worker.evidence.spool import Spool
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch

KILLS = 50
OF_ALL = 11
"""Each so many kills, one is of the worker with all its processes, as by a power cut; at another moment each time."""
SEED = 15

POLICY = """
version: "1"
rules:
  - {name: card, when: 'matched("selftest")', severity: high}
  - {name: lasting, when: 'score("testcard/card") > 0.5', severity: high, persistence: {hits: 2, within_seconds: 10}}
  - {name: in-order, when: 'score("testcard/card") > 0.5', severity: high, persistence: {hits: 2, of_samples: 9}}
"""
RULES = {"card", "lasting", "in-order"}


class Deployment:
    """A deployment whose worker dies again and again."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis = redis
        self.pair = Pair()
        self.spool = Spool(folder / "spool", 10**9)
        self.store = folder / "store"

    def raised(self) -> list[dict]:
        """The data of all escalations that raised an incident."""
        events = [json.loads(fields["event"]) for _, fields in self.redis.xrange("lw:escalations:high")]
        return [event["data"] for event in events if event["type"].endswith("raised.v1")]

    def check(self) -> None:
        """Opens each picture that an event names."""
        for data in self.raised():
            assert data["degraded"] == []
            assert any(named["kind"] == "hit" for named in data["evidence"]), data
            for named in data["evidence"]:
                sealed = self.sealed(data["incident_id"], named["ref"])
                assert digest_of(sealed) == named["sha256"]
                head, jpeg = open_sealed(sealed, self.pair.identity)
                assert (head.ref, head.stream_id) == (named["ref"], data["stream_id"])
                assert digest_of(jpeg) == head.picture_sha256 == named["picture_sha256"]

    def sealed(self, incident: str, ref: str) -> bytes:
        """An item's bytes: it may move from the spool to the store at this moment."""
        path = self.store / "evidence" / incident / f"{ref}.age"
        with suppress(EvidenceError):
            return self.spool.read(ref)
        return path.read_bytes()

    def in_spool(self) -> set[str]:
        """Names of files, finished or not."""
        with suppress(FileNotFoundError):
            return {path.name for path in self.spool.folder.iterdir()}
        return set()


def until(holds: Callable[[], object], *, seconds: float) -> None:
    """Waits for a moment to strike at; a stroke at another one is as good."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        Event().wait(0.001)


@pytest.mark.timeout(900)
def test_after_fifty_deaths_each_published_incident_has_its_pictures(
    redis: Redis, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    """A moderator would be called to an incident whose pictures died with the worker that found it."""
    deployment = Deployment(redis, tmp_path)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    environment = environment | {
        "LIVEWARDEN_POLICY_FILE": str(policy),
        "LIVEWARDEN_STORE_URL": str(deployment.store),
        "LIVEWARDEN_SPOOL_DIR": str(deployment.spool.folder),
        "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(recipients_file(tmp_path / "recipients", [deployment.pair])),
    }
    for number, card in enumerate((False, True, True)):
        origin.add(f"{number}.ts", segment_bytes(card=card))
    origin.ended = True
    chance = random.Random(SEED)
    with ExitStack() as stack:
        worker = stack.enter_context(celery("worker", environment, tmp_path, "--concurrency=1"))
        for kill in range(KILLS):
            name, seen, events = f"s{kill}", deployment.in_spool(), redis.xlen("lw:escalations:high")
            watch(redis, register(name, origin.url, purpose="drill", url_template="", legal_basis=""))
            # The moments: anywhere on the way; while pictures are written, or just after; just after the commit.
            moment = kill % 3
            if moment == 0:
                until(lambda: redis.keys(f"lw:tries:{name} *"), seconds=40)  # noqa: B023 - called at once
            elif moment == 1:
                until(lambda: deployment.in_spool() - seen, seconds=40)  # noqa: B023
            else:
                until(lambda: redis.xlen("lw:escalations:high") > events, seconds=40)  # noqa: B023
            Event().wait(chance.uniform(0, 0.3) if moment == 0 else chance.uniform(0, 0.02))
            if kill % OF_ALL == OF_ALL - 1:
                worker.kill_group()
                worker = stack.enter_context(celery("worker", environment, tmp_path, "--concurrency=1"))
            else:
                for pid in worker.children():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            deployment.check()
        eventually(lambda: not redis.keys("lw:pending:*"), within_seconds=240, what=worker.text)
        deployment.check()
    found = [(data["stream_id"], data["rule"]) for data in deployment.raised()]
    assert sorted(found) == sorted((f"s{kill}", rule) for kill in range(KILLS) for rule in RULES)
