"""The pictures that a segment leaves sealed: real clips, a real decoder, real keys."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import Rgb, card, clip, held, photo
from pyrage import x25519
from tinymodels import classifier, mean_model

from config.facts import StreamFacts
from config.policy.policy import load_policy
from models.bank.bank import Bank
from sampler.child.decoder import Decoder
from worker.bank.lists_in_force import ListsInForce, always
from worker.evidence.item import EvidenceKind
from worker.evidence.sealing import Identity, Recipients, open_sealed
from worker.incidents.segment_evidence import OpenContext, SegmentEvidence
from worker.moderation.evidence_capture import (
    MAX_AFTER_A_SEGMENT,
    MAX_CANDIDATES,
    MAX_RULE_PICTURES,
    CaptureRequest,
)
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.pipeline import Pipeline
from worker.moderation.verdict import SegmentVerdict

KEY = x25519.Identity.generate()
IDENTITY = Identity([KEY])
REQUEST = CaptureRequest(
    recipients=Recipients([str(KEY.to_public())]), segment="1.0.sole.7.00ff", sealed_ms=5, versions={"policy": "1"}
)
CAPTURE_MS = 1_000_000
RED = "{name: red, when: 'score(\"means/first\") > 0.5', severity: high}"
"""Holds for the astronaut (0.55), the coffee (0.62) and the page (0.67); not for the rocket and coins."""


@pytest.fixture
def seal(decoder: Decoder, tmp_path: Path):
    """Moderates pictures, each shown for 2 s, with a classifier whose scores are the means of the channels."""

    def moderate(
        pictures: Sequence[Rgb],
        *rules: str,
        more: str = "",
        purpose: str = "live",
        request: CaptureRequest | None = REQUEST,
    ) -> SegmentVerdict:
        path = tmp_path / "policy.yaml"
        path.write_text(f"version: '1'\n{more}\nrules: [{', '.join(rules)}]\n")
        model = classifier(tmp_path, mean_model())
        pipeline = Pipeline(
            decoder=decoder, bank=always(ListsInForce(bank=Bank())), classifiers=[model], policy=load_policy(path)
        )
        context = ModerationContext(stream=StreamFacts(stream_id="s", purpose=purpose), capture_ms=CAPTURE_MS)
        frames = [frame for picture in pictures for frame in held(picture, 2)]
        return pipeline.moderate(clip(frames), context=context, seed=b"tests", capture=request)

    return moderate


def hits(evidence: SegmentEvidence, rule: str = "red") -> list[int]:
    """Seconds of the segment from which the hits of a rule are kept."""
    kept = (one for one in evidence.candidates if one.rule == rule and one.kind is EvidenceKind.HIT)
    return sorted(round(one.pts_seconds) // 2 * 2 for one in kept)


def test_a_picture_on_which_a_rule_holds_is_sealed_with_its_circumstances(seal) -> None:
    """A moderator would have a score and no picture, or a picture of something else."""
    evidence = seal([photo("rocket"), photo("coffee")], RED).evidence
    (record,) = [one for one in evidence.candidates if one.kind is EvidenceKind.HIT]
    (item,) = [item for item in evidence.items if item.ref == record.ref]
    head, jpeg = open_sealed(item.sealed, IDENTITY)
    assert (head.stream_id, head.segment, head.rules) == ("s", "1.0.sole.7.00ff", ("red",))
    assert head.capture_ms == record.capture_ms == CAPTURE_MS + round(head.pts_seconds * 1000)
    assert head.scores["means/first"] == pytest.approx(record.score, abs=1e-6)
    assert (record.severity, record.known, record.purpose, record.sealed_ms) == ("high", False, "live", 5)
    assert (head.width, head.height, head.versions["policy"]) == (640, 360, "1")
    assert "selftest" in head.versions["lists"]
    shown = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert np.abs(shown.astype(int) - photo("coffee")).mean() < 12


def test_the_last_picture_before_the_hit_is_sealed_as_context(seal) -> None:
    """A reviewer could not see what led to it; and the picture must not be another, whose memory was used again."""
    evidence = seal([photo("coins"), photo("rocket"), photo("coffee")], RED).evidence
    (record,) = [one for one in evidence.candidates if one.kind is EvidenceKind.CONTEXT]
    (item,) = [item for item in evidence.items if item.ref == record.ref]
    head, jpeg = open_sealed(item.sealed, IDENTITY)
    assert (head.reason, head.rules, record.rule) == ("before", (), "red")
    assert 2 <= head.pts_seconds < 4
    shown = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert np.abs(shown.astype(int) - photo("rocket")).mean() < 12


def test_benign_pictures_leave_nothing(seal) -> None:
    """Pictures of people who did nothing would be kept."""
    verdict = seal([photo("rocket"), photo("coins")], RED)
    assert verdict.evidence == SegmentEvidence()


def test_a_rule_in_shadow_keeps_no_picture(seal) -> None:
    """A rule that is tried would fill spools with pictures that no person is called for."""
    assert seal([photo("coffee")], RED.replace("}", ", mode: shadow}")).evidence == SegmentEvidence()


def test_the_test_card_is_known_material_of_which_one_picture_is_kept(seal) -> None:
    """People would look at known abuse more often than anybody needs to."""
    rule = "{name: card, when: 'matched(\"selftest\")', severity: high}"
    evidence = seal([photo("rocket"), card(), photo("coffee"), card()], rule, purpose="drill").evidence
    (record,) = evidence.candidates
    assert (record.known, record.rule, round(record.pts_seconds)) == (True, "card", 2)
    assert record.distance is not None
    several = "evidence: {known_material: 2}"
    assert len(seal([card(), photo("coffee"), card()], rule, purpose="drill", more=several).evidence.candidates) == 1
    assert not seal([card()], rule, purpose="drill", more="evidence: {known_material: 0}").evidence.candidates


def test_each_rule_has_a_picture_of_its_own(seal) -> None:
    """A picture would be purged with the incident that was harmless, though the other one was not."""
    evidence = seal([photo("coffee")], RED, RED.replace("name: red", "name: other")).evidence
    assert {record.rule for record in evidence.candidates} == {"red", "other"}
    assert len({record.ref for record in evidence.candidates}) == 2
    assert len({record.picture_sha256 for record in evidence.candidates}) == 1


def test_pictures_of_a_segment_are_bounded_and_the_most_telling_stay(seal) -> None:
    """A broadcaster who shows hits alone would fill the spool, and slow other streams down."""
    names = ["astronaut", "chelsea", "coffee", "camera", "page"]
    evidence = seal([photo(name) for name in names], RED.replace("0.5'", "0.3'")).evidence
    kept = hits(evidence)
    assert len(kept) == MAX_RULE_PICTURES
    assert kept[0] == 0  # the first
    assert kept[-1] == 8  # the page has the highest score
    crowd = [RED.replace("name: red", f"name: red-{number}") for number in range(MAX_CANDIDATES + 6)]
    assert len(seal([photo("coffee")], *crowd).evidence.items) == MAX_CANDIDATES


def shade(mean: float, seed: int) -> Rgb:
    """A pattern of its own with that mean, 0 to 1."""
    small = np.random.default_rng(seed).random((9, 16, 1)) - 0.5
    values = (small - small.mean()) * 0.2 + mean
    picture = cv2.resize((values * 255).astype(np.uint8).repeat(3, axis=2), (640, 360), interpolation=cv2.INTER_CUBIC)
    return np.asarray(picture, np.uint8)


def test_what_is_shown_first_does_not_hide_what_follows(seal) -> None:
    """A broadcaster would show six harmless hits, each a little stronger, before the one that matters."""
    rising = [shade(0.5 + 0.03 * number, number) for number in range(8)]
    evidence = seal([*rising, shade(0.85, 8), shade(0.6, 9)], RED.replace("0.5'", "0.4'")).evidence
    assert 16 in hits(evidence)
    assert not evidence.missing
    assert len(hits(evidence)) == MAX_RULE_PICTURES


def test_hits_of_lesser_rules_do_not_push_out_a_severe_one(seal) -> None:
    """A broadcaster who makes many rules hold would leave the incident that matters without a picture."""
    lesser = [RED.replace("red", f"r{number}").replace("high", "review").replace("0.5'", "0.1'") for number in range(9)]
    critical = RED.replace("high", "critical").replace("0.5'", "0.8'")
    shown = [*(shade(0.3 + 0.1 * number, number) for number in range(4)), shade(0.9, 5)]
    evidence = seal(shown, *lesser, critical).evidence
    assert hits(evidence) == [8]
    assert len(evidence.candidates) == MAX_CANDIDATES
    assert all(hits(evidence, f"r{number}") for number in range(9))

    many = [lesser[0].replace("r0", f"r{number}") for number in range(MAX_CANDIDATES + 1)]
    evidence = seal(shown, *many, critical).evidence
    assert hits(evidence) == [8]
    assert evidence.missing == "too-many"


def test_a_scene_that_stands_still_is_sealed_once(seal) -> None:
    """Each segment would cost thrice, for three times the same picture."""
    assert hits(seal([photo("coffee")] * 3, RED).evidence) == [0]


def test_a_sample_that_may_hit_a_rule_judged_in_order_is_sealed(seal) -> None:
    """When the rule is judged, on another worker, the pixels would be gone."""
    rule = '{name: red, when: \'window.count("means/first", 0.5, "30s") >= 5\', severity: high}'
    verdict = seal([photo("rocket"), photo("coffee")], rule)
    assert not verdict.hits
    assert hits(verdict.evidence) == [2]


def test_an_open_incident_gets_a_context_picture_each_ten_seconds(seal) -> None:
    """A reviewer would see the moment that raised the incident, and not what became of it."""
    incident = OpenContext(incident="i", rule="red", since_ms=CAPTURE_MS - 18_000, taken=frozenset({1}))
    over = OpenContext(incident="o", rule="red", since_ms=CAPTURE_MS - 200_000)
    request = CaptureRequest(**{**vars(REQUEST), "open_contexts": (incident, over)})
    evidence = seal([photo("coins"), photo("rocket"), photo("coins")], RED, request=request).evidence
    assert not evidence.candidates
    (one,) = evidence.after
    assert (one.incident, one.slot, one.record.kind) == ("i", 2, EvidenceKind.CONTEXT)
    assert one.record.pts_seconds >= 2
    head, _ = open_sealed(evidence.items[0].sealed, IDENTITY)
    assert (head.incident, head.reason) == ("i", "after")


def test_context_of_many_incidents_is_bounded(seal) -> None:
    """A stream that ends and begins each second would have one segment seal a picture for each of its incidents."""
    many = tuple(OpenContext(incident=f"i{n}", rule="red", since_ms=CAPTURE_MS - 18_000) for n in range(100))
    request = CaptureRequest(**{**vars(REQUEST), "open_contexts": many})
    evidence = seal([photo("coins"), photo("rocket")], RED, request=request).evidence
    assert len(evidence.after) == len(evidence.items) == MAX_AFTER_A_SEGMENT


def test_without_recipients_the_verdict_says_so_where_there_was_a_hit(seal) -> None:
    """Events would not say that there is no picture to ask for."""
    request = CaptureRequest(recipients=None, missing="no-recipients", segment="x", sealed_ms=0)
    assert seal([photo("coffee")], RED, request=request).evidence == SegmentEvidence(missing="no-recipients")
    assert seal([photo("rocket")], RED, request=request).evidence == SegmentEvidence()


def test_a_picture_that_cannot_be_sealed_costs_no_verdict(seal) -> None:
    """Trouble with evidence would lose the escalation."""

    class Broken(Recipients):
        """Recipients whose sealing fails, as by a bug of the library."""

        def encrypt(self, content: bytes) -> bytes:
            """Fails."""
            raise RuntimeError("of the library")

    request = CaptureRequest(**{**vars(REQUEST), "recipients": Broken([str(KEY.to_public())])})
    verdict = seal([photo("coffee")], RED, request=request)
    assert verdict.hits
    assert verdict.evidence.missing == "picture"
    assert not verdict.evidence.items


def test_without_context_in_the_policy_no_benign_picture_is_held(seal) -> None:
    """An operator could not keep pictures out that no rule holds for."""
    evidence = seal([photo("rocket"), photo("coffee")], RED, more="evidence: {context: false}").evidence
    assert [record.kind for record in evidence.candidates] == [EvidenceKind.HIT]
