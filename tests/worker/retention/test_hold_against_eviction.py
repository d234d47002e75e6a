"""A legal hold against pictures that are more telling than those that an incident has."""

import random
from dataclasses import replace

import pytest
from kept_evidence import MODERATOR
from scene import Scene

from config.facts import Coverage, SegmentFacts, StreamFacts
from worker.evidence.item import EvidenceKind
from worker.evidence.record import EvidenceRecord
from worker.incidents.commit import settle
from worker.incidents.segment_evidence import SegmentEvidence
from worker.retention.holds import hold
from worker.store.redis_client import now_ms

ROOM = 12


def settled(scene: Scene, number: int) -> str:
    """Settles a segment with a hit and its picture, each more telling than the one before; returns the reference."""
    key, ref, capture_ms = f"segment-{number}", f"{number:032x}", 1_000 + 100 * number
    (hit,) = (one for one in scene.hits([capture_ms], score=0.91 + number / 1_000) if one.rule == "likely")
    record = EvidenceRecord(
        ref=ref,
        sha256="a" * 64,
        picture_sha256="b" * 64,
        kind=EvidenceKind.HIT,
        capture_ms=capture_ms,
        stream_id="cam-1",
        segment=key,
        pts_seconds=0.5,
        size_bytes=80_000,
        rule=hit.rule,
        severity="high",
        score=0.91 + number / 1_000,
        pdq=f"{random.Random(number).getrandbits(256):064x}",
        purpose="live",
        sealed_ms=now_ms(scene.redis),
    )
    scene.redis.hset("lw:pending:cam-1", key, "{}")
    settle(
        scene.redis,
        context=replace(scene.context("cam-1", key)),
        hits=(hit,),
        policy=scene.policy,
        coverage_increments={},
        stream_fields={},
        evidence=SegmentEvidence(candidates=(record,)),
        segment=SegmentFacts(
            key=key,
            series="1.0",
            capture_ms=capture_ms,
            stream=StreamFacts(stream_id="cam-1"),
            samples=(),
            coverage=Coverage(),
        ),
    )
    return ref


@pytest.mark.parametrize("held", [False, True])
def test_more_telling_pictures_displace_none_that_is_on_hold(scene: Scene, held: bool) -> None:
    """A broadcaster's later pictures would displace what a court has asked for."""
    refs = {settled(scene, number) for number in range(ROOM)}
    (incident,) = scene.redis.zrange("lw:open:high", 0, -1)
    key = f"lw:evidence:{incident}"
    assert set(scene.redis.hkeys(key)) == refs
    if held:
        hold(scene.redis, str(incident), MODERATOR, reason="court")
    refs |= {settled(scene, number) for number in range(ROOM, ROOM + 4)}
    left = set(scene.redis.hkeys(key))
    assert (left == refs) is held
    assert len(left) == (len(refs) if held else ROOM)
