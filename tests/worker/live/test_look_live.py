"""A look through the whole deployment: command line, Redis, a real worker, a real live origin."""

import sys
import threading
import time
from pathlib import Path

from commandline import livewarden
from evidence_items import Pair, recipients_file
from hls_origin import SEGMENT_SECONDS, LiveOrigin, eventually, segment_bytes
from live_stack import celery
from redis import Redis
from redis_between import Command, Send, redis_between
from scene import Scene

from worker.evidence.item_states import records_of
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch

WITHIN_SECONDS = 3.0
"""From the request to the sealed picture (issue 15, point 4)."""
LOOKS = 4


def test_look_is_sealed_within_three_seconds(
    scene: Scene, redis: Redis, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    """A moderator would judge what a stream showed a minute ago, while a child is in danger now."""
    variables = environment | {
        "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(recipients_file(tmp_path / "recipients", [Pair()])),
        "LIVEWARDEN_SPOOL_DIR": str(tmp_path / "spool"),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }
    body, over = segment_bytes(card=False), threading.Event()

    def broadcast() -> None:
        number = 0
        while not over.is_set():
            origin.add(f"{number}.ts", body)
            number += 1
            over.wait(SEGMENT_SECONDS)

    broadcaster = threading.Thread(target=broadcast)
    broadcaster.start()
    took: list[float] = []
    try:
        watch(redis, register("cam-1", origin.url, url_template="", legal_basis=""))
        incident = scene.raise_incident("cam-1")
        with celery("worker", variables, tmp_path, "--concurrency=1") as worker:
            eventually(
                lambda: int(redis.hget("lw:coverage:cam-1", "moderated") or 0) > 0,
                within_seconds=90,
                what=worker.text,
            )
            for _ in range(LOOKS):
                eventually(lambda: not redis.exists("lw:looking:cam-1"), within_seconds=60, what="the stream rests")
                began = time.monotonic()
                ran = livewarden("evidence", "look", incident, "--by", "mo", "--json", environment=variables)
                assert ran.status == 0, ran.err + worker.text()
                line = f"look: {ran.records[0]['seconds']:.2f} s, with the command {time.monotonic() - began:.2f} s"
                sys.stdout.write(f"{line}\n")  # `pytest -s` shows the figures of the issue
                took.append(ran.records[0]["seconds"])
            # It comes into the store like any other picture.
            stored = tmp_path / "store" / "evidence" / incident
            eventually(lambda: len(list(stored.glob("*.age"))) == LOOKS, within_seconds=60, what="they are stored")
    finally:
        over.set()
        broadcaster.join()
    assert max(took) < WITHIN_SECONDS
    assert [record.kind for record in records_of(redis, incident)] == ["context"] * LOOKS


def test_look_outlives_answers_that_are_lost(
    scene: Scene, redis: Redis, redis_url: str, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    """A moderator would have to ask again by hand, and wait for the stream's rest, while a child is in danger now."""
    lost: set[bytes] = set()

    def between(command: Command, send: Send) -> bytes | None:
        answer = send()
        # The answer by which a worker takes the request, and that of the task that it sends.
        takes = command[0] in (b"BLPOP", b"BLMOVE") and not answer.startswith((b"*-1", b"$-1", b"_"))
        sends = command[0] == b"BRPOP" and b"livewarden.look" in answer and b"livewarden.look_back" not in answer
        if (takes or sends) and command[0] not in lost:
            lost.add(command[0])
            return None
        return answer

    origin.add("0.ts", segment_bytes(card=False))
    watch(redis, register("cam-1", origin.url, url_template="", legal_basis=""))
    incident = scene.raise_incident("cam-1")
    with redis_between(redis_url, between) as url:
        variables = environment | {
            "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(recipients_file(tmp_path / "recipients", [Pair()])),
            "LIVEWARDEN_SPOOL_DIR": str(tmp_path / "spool"),
            "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        }
        with celery("worker", variables | {"LIVEWARDEN_REDIS_URL": url}, tmp_path, "--concurrency=1") as worker:
            eventually(
                lambda: int(redis.hget("lw:coverage:cam-1", "moderated") or 0) > 0,
                within_seconds=90,
                what=worker.text,
            )
            ran = livewarden("evidence", "look", incident, "--by", "mo", "--json", environment=variables)
            assert ran.status == 0, ran.err + worker.text()
    assert len(lost) == 2
    assert [record.kind for record in records_of(redis, incident)] == ["context"]
