"""Looks at streams, in one process: a real origin, the confined decoder, a real spool and a real Valkey."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from admitted import draw_alike
from evidence_items import Pair, recipients_file
from hls_origin import LiveOrigin, eventually, fragmented_mp4, segment_bytes
from kept_evidence import LEAD, MODERATOR, KeptEvidence
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis_between import Command, Send, redis_between
from scene import Scene

from config.settings import Settings
from models.pdq.pdq import hash_rgb
from models.testcard import testcard as card_picture
from worker.errors import BankRequestError, QueueError, StoreError
from worker.evidence.item import EvidenceKind
from worker.evidence.record import EvidenceRecord
from worker.evidence.sealing import open_sealed
from worker.evidence.spool import Spool
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import unwatch, watch
from worker.people.actor import Actor, Role
from worker.queue.decisions import decide_incident
from worker.queue.looks import ask, look_key, wait_for
from worker.runtime.looks import AGAIN_MS, LONGEST_MS, look, relay
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import connect, now_ms, run_script

PAIR = Pair()


@pytest.fixture
def process(redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path) -> Iterator[WorkerProcess]:
    """The state of a pool child that keeps evidence."""
    draw_alike(redis)
    variables = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        "LIVEWARDEN_SPOOL_DIR": str(tmp_path / "spool"),
        "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(recipients_file(tmp_path / "recipients", [PAIR])),
    }
    process = WorkerProcess(Settings.from_mapping(variables))
    yield process
    process.close()


def watched(redis: Redis, origin: LiveOrigin, purpose: str = "live") -> None:
    watch(redis, register("cam-1", origin.url, purpose=purpose, url_template="", legal_basis=""))


def refused(process: WorkerProcess, incident: str) -> str:
    """Takes a look; the reason that there is no picture, as a person reads it."""
    look_id = ask(process.redis, incident, MODERATOR)
    look(process, look_id)
    with pytest.raises(QueueError) as caught:
        wait_for(process.redis, look_id, seconds=0)
    return str(caught.value)


def test_picture_of_this_moment_is_sealed_for_the_incident(
    process: WorkerProcess, origin: LiveOrigin, scene: Scene, tmp_path: Path
) -> None:
    """A moderator could not see whether a child is still in danger."""
    origin.add("0.ts", segment_bytes(card=False))
    origin.add("1.ts", segment_bytes(card=True))
    watched(scene.redis, origin, purpose="drill")
    incident = scene.raise_incident("cam-1", purpose="drill")
    look_id = ask(scene.redis, incident, MODERATOR)
    look(process, look_id)
    done = wait_for(scene.redis, look_id, seconds=0)
    assert (done.incident_id, done.stream_id) == (incident, "cam-1")

    head, jpeg = open_sealed(Spool(tmp_path / "spool", 10**9).read(done.ref), PAIR.identity)
    assert (head.kind, head.reason, head.incident, head.stream_id) == (EvidenceKind.CONTEXT, "look", incident, "cam-1")
    assert head.pts_seconds >= 1.5
    # The newest segment's, not the one before; and it was matched before it was sealed.
    picture = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert hash_rgb(picture).distance(hash_rgb(card_picture(320, 180))) <= 31
    assert {match["list"] for match in head.matches} == {"selftest"}
    record = EvidenceRecord.read(str(scene.redis.hget(f"lw:evidence:{incident}", done.ref)))
    assert (record.named, record.kind, record.picture_sha256) == (True, "context", head.picture_sha256)
    assert scene.redis.get(f"lw:evidence:item:{done.ref}") == incident
    assert scene.redis.zscore("lw:evidence:due", incident) == 0
    assert "GET /live/0.ts" not in origin.requests


def test_request_is_on_record_before_anything_is_fetched(
    process: WorkerProcess, origin: LiveOrigin, scene: Scene, tmp_path: Path
) -> None:
    """A person could look into a stream without a trace."""
    watched(scene.redis, origin)
    incident = scene.raise_incident("cam-1")
    look_id = ask(scene.redis, incident, MODERATOR)
    kept = KeptEvidence(scene=scene, folder=tmp_path / "kept")
    (entry,) = kept.entries("look")
    assert (entry["by"], entry["subject"]) == ("mo", incident)
    assert entry["details"] == {"stream": "cam-1", "look": look_id}
    assert origin.requests == []


def test_fragmented_stream_is_decoded_with_its_initialisation(
    process: WorkerProcess, origin: LiveOrigin, scene: Scene
) -> None:
    """Nobody could look at streams of fragmented MP4, which most platforms send."""
    init, body = fragmented_mp4(card=True)
    origin.bodies["/live/init.mp4"] = init
    origin.extra["0.m4s"] = '#EXT-X-MAP:URI="init.mp4"'
    origin.add("0.m4s", body)
    watched(scene.redis, origin)
    incident = scene.raise_incident("cam-1")
    look_id = ask(scene.redis, incident, MODERATOR)
    look(process, look_id)
    assert wait_for(scene.redis, look_id, seconds=0).ref


def test_segment_that_the_edge_lacks_gives_way_to_the_one_before(
    process: WorkerProcess, origin: LiveOrigin, scene: Scene
) -> None:
    """A look would fail wherever an edge lags behind its playlist."""
    origin.add("0.ts", segment_bytes(card=True))
    origin.add("1.ts", segment_bytes(card=True))
    origin.status["/live/1.ts"] = 404
    watched(scene.redis, origin)
    incident = scene.raise_incident("cam-1")
    look_id = ask(scene.redis, incident, MODERATOR)
    look(process, look_id)
    assert wait_for(scene.redis, look_id, seconds=0).ref


def test_ended_streams_say_so(process: WorkerProcess, origin: LiveOrigin, scene: Scene) -> None:
    """A moderator would take an old picture for what is happening now."""
    incident = scene.raise_incident("cam-1")
    assert "has ended, or is not watched" in refused(process, incident)
    scene.redis.delete("lw:looking:cam-1")
    origin.add("0.ts", segment_bytes(card=True))
    origin.ended = True
    watched(scene.redis, origin)
    assert "has ended, or is not watched" in refused(process, incident)
    scene.redis.delete("lw:looking:cam-1")
    unwatch(scene.redis, "cam-1")
    assert "has ended, or is not watched" in refused(process, incident)
    assert "GET /live/0.ts" not in origin.requests


@pytest.mark.parametrize(
    ("extra", "body", "status", "expected"),
    [
        ('#EXT-X-KEY:METHOD=AES-128,URI="k"', b"", 200, "is encrypted"),
        ("", b"no video" * 100, 200, "cannot be decoded"),
        ("", b"", 503, "http_503"),
    ],
)
def test_reason_is_told_where_there_is_no_picture(
    process: WorkerProcess, origin: LiveOrigin, scene: Scene, extra: str, body: bytes, status: int, expected: str
) -> None:
    """A moderator would wait, and not learn that the broadcaster keeps everybody from seeing."""
    origin.extra["0.ts"] = extra or "#"
    origin.status["/live/0.ts"] = status
    origin.add("0.ts", body)
    watched(scene.redis, origin)
    incident = scene.raise_incident("cam-1")
    assert expected in refused(process, incident)
    assert not scene.redis.exists(f"lw:evidence:{incident}")


def test_no_recipients_no_picture(redis_url: str, origin: LiveOrigin, scene: Scene, tmp_path: Path) -> None:
    """A picture would lie somewhere in the clear."""
    variables = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
    without = WorkerProcess(Settings.from_mapping(variables | {"LIVEWARDEN_SPOOL_DIR": str(tmp_path / "spool")}))
    try:
        assert "LIVEWARDEN_EVIDENCE_RECIPIENTS is not set" in refused(without, scene.raise_incident("cam-1"))
    finally:
        without.close()
    assert origin.requests == []


def test_one_at_a_time_and_then_a_rest(process: WorkerProcess, origin: LiveOrigin, scene: Scene) -> None:
    """A person, or a script, could load an origin and the workers with looks."""
    origin.add("0.ts", segment_bytes(card=True))
    watched(scene.redis, origin)
    incident = scene.raise_incident("cam-1")
    look_id = ask(scene.redis, incident, MODERATOR)
    with pytest.raises(QueueError, match="is under way"):
        ask(scene.redis, incident, LEAD)
    look(process, look_id)
    assert 0 < scene.redis.ttl("lw:looking:cam-1") <= 5
    with pytest.raises(QueueError, match=r"try again in \d s"):
        ask(scene.redis, incident, LEAD)


def test_who_may_not_and_what_may_not(scene: Scene) -> None:
    """An operator would look at streams; or pictures be added to what was decided."""
    incident = scene.raise_incident("cam-1")
    with pytest.raises(BankRequestError, match="only a moderator or lead"):
        ask(scene.redis, incident, Actor(name="op", role=Role.OPERATOR))
    with pytest.raises(QueueError):
        ask(scene.redis, "0" * 24, MODERATOR)
    decide_incident(scene.redis, incident, "harmless", by="mo", note="seen", deployment="test")
    with pytest.raises(QueueError, match="is decided"):
        ask(scene.redis, incident, MODERATOR)
    assert scene.redis.llen("lw:looks") == 0


def test_message_that_comes_twice_is_one_look(process: WorkerProcess, origin: LiveOrigin, scene: Scene) -> None:
    """A redelivered message would fetch and keep a second picture."""
    origin.add("0.ts", segment_bytes(card=True))
    watched(scene.redis, origin)
    incident = scene.raise_incident("cam-1")
    look_id = ask(scene.redis, incident, MODERATOR)
    look(process, look_id)
    fetched = len(origin.requests)
    look(process, look_id)
    look(process, "f" * 32)
    assert len(origin.requests) == fetched
    assert scene.redis.hlen(f"lw:evidence:{incident}") == 1


def test_a_request_whose_taking_is_not_answered_is_sent_all_the_same(scene: Scene, redis_url: str) -> None:
    """A moderator would wait for 20 s and read that no worker works, because a connection broke."""
    look_id = ask(scene.redis, scene.raise_incident("cam-1"), MODERATOR)

    def between(command: Command, answer: Send) -> bytes | None:
        raw = answer()
        return None if command[0] in (b"BLPOP", b"BLMOVE") else raw

    sent: list[str] = []
    with redis_between(redis_url, between) as url, connect(url, retries=0) as cut_off, pytest.raises(RedisError):
        relay(cut_off, sent.append)
    assert sent == []
    eventually(lambda: relay(scene.redis, sent.append) or sent, within_seconds=60, what="it is sent")
    assert sent == [look_id]


@pytest.mark.parametrize("error", [OperationalError("gone"), RedisConnectionError("gone")], ids=["kombu", "redis"])
def test_a_request_whose_task_cannot_be_sent_is_sent_later(scene: Scene, error: Exception) -> None:
    """A moderator would have to ask again by hand whenever Redis is away for a moment."""
    look_id = ask(scene.redis, scene.raise_incident("cam-1"), MODERATOR)

    def fails(_: str) -> None:
        raise error

    with pytest.raises((StoreError, RedisError)):
        relay(scene.redis, fails)
    sent: list[str] = []
    eventually(lambda: relay(scene.redis, sent.append) or sent, within_seconds=60, what="it is sent")
    assert sent == [look_id]


def test_a_look_that_is_lost_with_its_task_is_taken_by_another(
    process: WorkerProcess, origin: LiveOrigin, scene: Scene
) -> None:
    """A look would be lost with the worker that was at it; or two workers would fetch and keep a picture each."""
    origin.add("0.ts", segment_bytes(card=True))
    watched(scene.redis, origin)
    incident = scene.raise_incident("cam-1")
    look_id, sent = ask(scene.redis, incident, MODERATOR), list[str]()
    key = look_key(look_id)
    relay(scene.redis, sent.append)
    assert sent == [look_id]
    assert run_script(scene.redis, "look_begin", keys=[key], args=["lost", LONGEST_MS]) == [incident, "cam-1"]
    scene.redis.hset(key, "sent_ms", now_ms(scene.redis) - AGAIN_MS)
    relay(scene.redis, sent.append)
    look(process, look_id, "another")
    assert sent == [look_id]
    assert origin.requests == []
    scene.redis.hset(key, "began_ms", now_ms(scene.redis) - LONGEST_MS)
    relay(scene.redis, sent.append)
    assert sent == [look_id] * 2
    look(process, look_id, "another")
    assert wait_for(scene.redis, look_id, seconds=0).ref
    relay(scene.redis, sent.append)
    assert sent == [look_id] * 2
    assert scene.redis.llen("lw:looks:sent") == 0


def test_a_look_that_nobody_waits_for_any_more_is_not_sent(scene: Scene) -> None:
    """Workers would fetch from origins for people who have left."""
    look_id, sent = ask(scene.redis, scene.raise_incident("cam-1"), MODERATOR), list[str]()
    relay(scene.redis, sent.append)
    scene.redis.hset(look_key(look_id), mapping={"asked_ms": now_ms(scene.redis) - 20_000, "sent_ms": 1})
    relay(scene.redis, sent.append)
    assert sent == [look_id]
    assert scene.redis.llen("lw:looks:sent") == 0


def test_who_asks_again_while_a_look_waits_gets_that_one(scene: Scene, tmp_path: Path) -> None:
    """A person whose answer was lost could not see what was asked for, and would have to wait for another look."""
    incident = scene.raise_incident("cam-1")
    look_id = ask(scene.redis, incident, MODERATOR)
    assert ask(scene.redis, incident, MODERATOR) == look_id
    assert scene.redis.llen("lw:looks") == 1
    assert len(KeptEvidence(scene=scene, folder=tmp_path / "kept").entries("look")) == 1


def test_nobody_answers(scene: Scene) -> None:
    """A moderator would wait for good while no worker is alive."""
    look_id = ask(scene.redis, scene.raise_incident("cam-1"), MODERATOR)
    with pytest.raises(QueueError, match="no worker ended the look"):
        wait_for(scene.redis, look_id, seconds=0)
