"""The pictures of incidents in a real Valkey: promoted in the step that raises the incident."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from redis import Redis
from redis_between import Command, Send, redis_between
from scene import Scene

from config.facts import Coverage, Hit, SampleFacts, SegmentFacts, StreamFacts
from config.policy.policy import Policy
from worker.evidence.item import EvidenceKind
from worker.evidence.record import EvidenceRecord
from worker.incidents.commit import Settled, SettleResult, settle
from worker.incidents.evidence_commit import CANDIDATE_MS
from worker.incidents.segment_evidence import NO_EVIDENCE, ContextAfter, SegmentEvidence, contexts_of
from worker.store.redis_client import connect, now_ms


class Pictures:
    """Records of sealed pictures, without the pictures."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._made = 0

    def record(self, rule: str, capture_ms: int, segment: str = "segment-1", **more: object) -> EvidenceRecord:
        """A picture of its own."""
        self._made += 1
        fields: dict[str, object] = {
            "kind": EvidenceKind.HIT,
            "severity": "critical",
            "purpose": "live",
            "sealed_ms": now_ms(self._redis),
        }
        return EvidenceRecord(
            ref=f"{self._made:032x}",
            sha256="a" * 64,
            picture_sha256=f"{self._made:064x}",
            capture_ms=capture_ms,
            stream_id="cam-1",
            segment=segment,
            pts_seconds=0.5,
            size_bytes=80_000,
            rule=rule,
            **{**fields, **more},
        )

    def of(self, hits: Iterable[Hit], **more: object) -> SegmentEvidence:
        """The evidence of a segment with these hits."""
        return SegmentEvidence(candidates=tuple(self.record(hit.rule, hit.capture_ms, **more) for hit in hits))


def settled(
    scene: Scene,
    hits: tuple[Hit, ...],
    evidence: SegmentEvidence,
    *,
    key: str = "",
    pending: bool = True,
    purpose: str = "live",
    redis: Redis | None = None,
    **context: object,
) -> SettleResult:
    """Settles a segment of cam-1 with those hits and pictures."""
    scene.settled += 1
    key = key or f"segment-{scene.settled}"
    if pending:
        scene.redis.hset("lw:pending:cam-1", key, "{}")
    return settle(
        scene.redis if redis is None else redis,
        context=replace(scene.context("cam-1", key, purpose), **context),
        hits=hits,
        policy=scene.policy,
        coverage_increments={},
        stream_fields={},
        evidence=evidence,
        segment=SegmentFacts(
            key=key,
            series="1.0",
            capture_ms=min([hit.capture_ms for hit in hits], default=0),
            stream=StreamFacts(stream_id="cam-1"),
            samples=(),
            coverage=Coverage(),
        ),
    )


def kept(redis: Redis, incident: str) -> dict[str, EvidenceRecord]:
    return {ref: EvidenceRecord.read(text) for ref, text in redis.hgetall(f"lw:evidence:{incident}").items()}


def test_an_incident_has_the_picture_that_raised_it(scene: Scene) -> None:
    """A moderator who takes an incident would have a score, and nothing to look at."""
    hits = scene.hits([1000], score=0.95)
    likely = tuple(hit for hit in hits if hit.rule == "likely")
    evidence = Pictures(scene.redis).of(likely)
    (event,) = settled(scene, likely, evidence).events
    (record,) = evidence.candidates
    (data,) = [one["data"] for one in scene.published("lw:escalations:high")]
    assert data["evidence"] == [
        {"ref": record.ref, "sha256": "a" * 64, "kind": "hit", "capture_ms": 1000, "picture_sha256": f"{1:064x}"}
    ]
    assert "evidence_none" not in data
    assert kept(scene.redis, event.incident_id) == {record.ref: replace(record, named=True)}
    assert scene.redis.get(f"lw:evidence:item:{record.ref}") == event.incident_id
    assert scene.redis.hlen("lw:candidates:cam-1") == 0


def test_pictures_of_hits_that_waited_in_other_segments_are_promoted(scene: Scene) -> None:
    """An incident that persists over segments would have no picture of its beginning: another worker had it."""
    pictures = Pictures(scene.redis)
    refs = []
    for capture_ms in (3000, 1000, 2000):
        hits = tuple(hit for hit in scene.hits([capture_ms], score=0.6) if hit.rule == "nude")
        evidence = pictures.of(hits)
        refs.append(evidence.candidates[0].ref)
        result = settled(scene, hits, evidence)
        if not result.events:
            assert refs[-1] in scene.redis.hkeys("lw:candidates:cam-1")
    assert set(kept(scene.redis, result.events[0].incident_id)) == set(refs)
    assert scene.redis.hlen("lw:candidates:cam-1") == 0
    (event,) = scene.published("lw:escalations:review")
    assert [one["capture_ms"] for one in event["data"]["evidence"]] == [1000, 2000, 3000]


def test_a_rule_judged_in_order_takes_the_picture_of_the_segment_before(
    redis: Redis, policy_of: Callable[[str], Policy]
) -> None:
    """The segment whose end raises the incident may show nothing at all."""
    text = "{name: nude, when: 'score(\"m/nsfw\") > 0.5', severity: review, persistence: {hits: 2, of_samples: 3}}"
    scene = Scene(redis=redis, policy=policy_of(f'version: "1"\nrules: [{text}]'))
    pictures = Pictures(redis)
    events: tuple[object, ...] = ()
    refs = []
    # The first ends last: the second waits for it.
    redis.hset(
        "lw:pending:cam-1", mapping={"1.0.sole.1.aa": '{"capture_ms": 0}', "1.0.sole.2.bb": '{"capture_ms": 2000}'}
    )
    for key, capture_ms in (("1.0.sole.2.bb", 2000), ("1.0.sole.1.aa", 0)):
        record = pictures.record("nude", capture_ms, key, severity="review")
        refs.append(record.ref)
        sample = SampleFacts(
            capture_ms=capture_ms, pts_seconds=0.0, reason="keyframe", pdq_quality=90, scores={"m/nsfw": 0.7}
        )
        result = settle(
            redis,
            context=scene.context("cam-1", key),
            hits=(),
            policy=scene.policy,
            coverage_increments={},
            stream_fields={},
            evidence=SegmentEvidence(candidates=(record,)),
            segment=SegmentFacts(
                key=key, series="1.0", capture_ms=capture_ms, stream=StreamFacts(stream_id="cam-1"), samples=(sample,)
            ),
        )
        events += result.events
    (event,) = scene.published("lw:escalations:review")
    assert {one["ref"] for one in event["data"]["evidence"]} == set(refs)


def test_an_escalation_without_pictures_says_why(scene: Scene) -> None:
    """A moderator would search for pictures that nobody kept."""
    settled(scene, scene.hits([1000], lists=["known"]), SegmentEvidence(missing="no-recipients"))
    settled(scene, scene.hits([2000], lists=["stop"]), NO_EVIDENCE, looks_back=True)
    settled(scene, tuple(hit for hit in scene.hits([3000], score=0.95) if hit.rule == "likely"), NO_EVIDENCE)
    why = [one["data"].get("evidence_none") for one in scene.published("lw:escalations:critical")]
    assert why == ["no-recipients", "lookback"]
    (event,) = scene.published("lw:escalations:high")
    assert (event["data"]["evidence"], event["data"]["evidence_none"]) == ([], "not-kept")


def test_pictures_of_another_purpose_or_rule_are_not_taken(scene: Scene) -> None:
    """A drill's incident would show a picture of a live stream."""
    pictures = Pictures(scene.redis)
    hits = scene.hits([1000], lists=["known"])
    strangers = (pictures.record("known", 1000, purpose="drill"), pictures.record("likely", 1000))
    (event,) = settled(scene, hits, SegmentEvidence(candidates=strangers)).events
    assert kept(scene.redis, event.incident_id) == {}


@pytest.mark.parametrize("sealed_before_ms", [CANDIDATE_MS, -60_000, -3_600_000])
def test_pictures_that_waited_for_too_long_are_forgotten(scene: Scene, sealed_before_ms: int) -> None:
    """An event would name a picture that is deleted at that moment; and Redis would fill. One of the future is from
    before Redis's clock went back, and may have been deleted an hour ago."""
    pictures = Pictures(scene.redis)
    old = pictures.record("nude", 500, sealed_ms=now_ms(scene.redis) - sealed_before_ms)
    scene.redis.hset("lw:candidates:cam-1", mapping={old.ref: old.to_json(), "x": "malformed"})
    nude = [tuple(hit for hit in scene.hits([at], score=0.6) if hit.rule == "nude") for at in (500, 1000, 1500)]
    for hits in nude:
        result = settled(scene, hits, pictures.of(hits) if hits[0].capture_ms > 500 else NO_EVIDENCE)
    assert old.ref not in kept(scene.redis, result.events[0].incident_id)
    assert scene.redis.hgetall("lw:candidates:cam-1") == {}


def test_the_pictures_of_a_segment_that_another_has_ended_are_its_own(scene: Scene) -> None:
    """An incident would have each picture twice, or the hits that only the second worker found would have none."""
    pictures = Pictures(scene.redis)
    first = scene.hits([1000], lists=["known"])
    (event,) = settled(scene, first, pictures.of(first), key="twice").events
    again = settled(scene, first, pictures.of(first), key="twice", pending=False)
    assert again.outcome is Settled.ENDED
    assert len(kept(scene.redis, event.incident_id)) == 1
    assert scene.redis.hlen("lw:candidates:cam-1") == 0
    both = (*first, *scene.hits([1500], lists=["stop"]))
    late = settled(scene, both, pictures.of(both), key="twice", pending=False)
    assert late.outcome is Settled.LATE
    (record,) = kept(scene.redis, late.events[0].incident_id).values()
    assert (record.rule, record.named) == ("stop", True)


def test_pictures_of_a_hash_in_quarantine_wait_for_nothing(scene: Scene) -> None:
    """A picture that a lead took out of the queue would come back with the next incident of its rule."""
    pictures = Pictures(scene.redis)
    (hit,) = scene.hits([1000], lists=["known"])
    evidence = pictures.of([hit])
    # The commit gets what is left of the segment's hits, and all of its pictures.
    settled(scene, scene.hits([2000], lists=["stop"]), evidence)
    assert not scene.redis.exists("lw:candidates:cam-1")


def test_pictures_that_an_open_incident_has_no_place_for_do_not_wait(scene: Scene) -> None:
    """A broadcaster who shows nothing but hits would fill every spool for ten minutes, and others get no picture."""
    pictures = Pictures(scene.redis)
    for number in range(20):
        hits = tuple(hit for hit in scene.hits([1000 + number], score=0.95) if hit.rule == "likely")
        evidence = pictures.of(hits, score=0.5)
        result = settled(scene, hits, evidence)
        has_place = number < 12
        assert result.unneeded == (frozenset() if has_place else {evidence.candidates[0].ref})
    assert not scene.redis.exists("lw:candidates:cam-1")
    telling = pictures.of(hits, score=0.9)
    assert settled(scene, hits, telling).unneeded == frozenset()


def test_pictures_without_a_hit_that_counts_do_not_wait(scene: Scene) -> None:
    """A raid by one hash on many streams would fill every spool, while none of its pictures is taken."""
    pictures = Pictures(scene.redis)
    evidence = pictures.of(scene.hits([1000], lists=["known"]))
    refs = {one.ref for one in evidence.candidates}
    assert settled(scene, (), evidence, key="twice").unneeded == refs
    # It may have been this worker's own, before an answer was lost.
    assert settled(scene, (), evidence, key="twice", pending=False).unneeded == frozenset()


def test_a_foreign_key_keeps_no_escalation_back(scene: Scene) -> None:
    """Whoever can write to Redis could silence a stream by one key; evidence may be lost, an escalation not."""
    scene.redis.set("lw:candidates:cam-1", "foreign")
    hits = scene.hits([1000], lists=["known"])
    (event,) = settled(scene, hits, Pictures(scene.redis).of(hits)).events
    assert len(scene.published("lw:escalations:critical")) == 1
    scene.redis.delete(f"lw:evidence:{event.incident_id}")
    scene.redis.set(f"lw:evidence:{event.incident_id}", "foreign")
    worse = tuple(
        replace(hit, matches=(replace(hit.matches[0], entry="8"),)) for hit in scene.hits([1500], lists=["known"])
    )
    settled(scene, worse, Pictures(scene.redis).of(worse))
    assert len(scene.published("lw:escalations:critical")) == 2


def test_an_update_names_what_was_named_and_what_is_new(scene: Scene) -> None:
    """A reader of the newest event alone would miss the first picture."""
    pictures = Pictures(scene.redis)
    hits = tuple(hit for hit in scene.hits([1000], score=0.95) if hit.rule == "likely")
    settled(scene, hits, pictures.of(hits))
    worse = tuple(replace(hit, severity=hit.severity.CRITICAL, capture_ms=2000) for hit in hits)
    settled(scene, worse, pictures.of(worse))
    (event,) = scene.published("lw:escalations:critical")
    assert [one["capture_ms"] for one in event["data"]["evidence"]] == [1000, 2000]


def test_a_record_that_changed_meanwhile_is_read_again(scene: Scene, redis_url: str) -> None:
    """An item that was just sealed to new recipients would have the digest of bytes that are gone; a purged one would
    come back."""
    pictures = Pictures(scene.redis)
    likely = tuple(hit for hit in scene.hits([1000], score=0.95) if hit.rule == "likely")
    (event,) = settled(scene, likely, pictures.of(likely)).events
    (record,) = kept(scene.redis, event.incident_id).values()
    scene.redis.hset(f"lw:evidence:{event.incident_id}", record.ref, replace(record, named=False).to_json())
    changed = [False]

    def between(command: Command, send: Send) -> bytes | None:
        if command[0].upper() in (b"EVALSHA", b"EVAL") and b"segment-again" in command and not changed[0]:
            changed[0] = True
            resealed = replace(record, sha256="c" * 64, named=False)
            scene.redis.hset(f"lw:evidence:{event.incident_id}", record.ref, resealed.to_json())
        return send()

    worse = tuple(replace(hit, severity=hit.severity.CRITICAL, capture_ms=2000) for hit in likely)
    with redis_between(redis_url, between) as url, connect(url) as redis:
        settled(scene, worse, pictures.of(worse), key="segment-again", redis=redis)
    assert changed[0]
    assert kept(scene.redis, event.incident_id)[record.ref] == replace(record, sha256="c" * 64)
    (updated,) = scene.published("lw:escalations:critical")
    assert updated["data"]["evidence"][0]["sha256"] == "c" * 64


def test_an_open_incident_takes_one_context_picture_each_ten_seconds(scene: Scene) -> None:
    """Two workers would fill an incident with pictures of the same moment, or a decided one would go on taking them."""
    pictures = Pictures(scene.redis)
    hits = tuple(hit for hit in scene.hits([1000], score=0.95) if hit.rule == "likely")
    (event,) = settled(scene, hits, pictures.of(hits)).events
    (context,) = contexts_of(scene.redis.hgetall("lw:context:cam-1"))
    assert (context.incident, context.rule, context.since_ms) == (event.incident_id, "likely", 1000)
    assert (context.slot(10_999), context.slot(11_000), context.slot(121_000), context.slot(131_000)) == (
        None,
        1,
        12,
        None,
    )

    def after(slot: int) -> SegmentEvidence:
        record = pictures.record("likely", 1000 + slot * 10_000, kind=EvidenceKind.CONTEXT)
        return SegmentEvidence(after=(ContextAfter(incident=event.incident_id, slot=slot, record=record),))

    for slot in (1, 1, 2):
        settled(scene, (), after(slot))
    assert len(kept(scene.redis, event.incident_id)) == 3
    (context,) = contexts_of(scene.redis.hgetall("lw:context:cam-1"))
    assert context.taken == {1, 2}
    scene.redis.hset(f"lw:incident:{event.incident_id}", "outcome", "harmless")
    settled(scene, (), after(3))
    assert len(kept(scene.redis, event.incident_id)) == 3
    assert contexts_of(scene.redis.hgetall("lw:context:cam-1")) == ()


def test_known_material_and_canaries_get_no_context(scene: Scene) -> None:
    """Pictures of people would be kept for an incident that needs no looking at."""
    pictures = Pictures(scene.redis)
    hits = scene.hits([1000], lists=["known"])
    settled(scene, hits, pictures.of(hits, known=True))
    canary = tuple(hit for hit in scene.hits([1000], score=0.95, purpose="canary") if hit.rule == "likely")
    settled(scene, canary, pictures.of(canary, purpose="canary"), purpose="canary")
    assert not scene.redis.exists("lw:context:cam-1")
