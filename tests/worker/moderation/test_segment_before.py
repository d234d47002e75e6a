"""Leading pictures of an open GOP are moderated with the segment before, which is fetched only where it is needed."""

from dataclasses import replace

import pytest
from clips import RATE, clip, held, photo
from open_gops import open_segments

from config.facts import StreamFacts
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.pipeline import Pipeline
from worker.moderation.segment_before import SegmentBytes
from worker.moderation.verdict import SegmentVerdict

DRILL = ModerationContext(stream=StreamFacts(stream_id="s", purpose="drill"), capture_ms=1_000_000)
BEFORE, SEGMENT = open_segments(carded=1)[:2]


class Origin:
    """Gives the segment before, and counts how often."""

    def __init__(self, found: SegmentBytes | None) -> None:
        self.found = found
        self.fetched = 0

    def __call__(self) -> SegmentBytes | None:
        self.fetched += 1
        return self.found


def lost(verdict: SegmentVerdict) -> dict[str, float]:
    return {stretch.reason: stretch.seconds for stretch in verdict.unmoderated}


def test_a_listed_picture_in_leading_pictures_alone_is_found(pipeline: Pipeline) -> None:
    """Who knows how segments are cut could show anything in the half second before each keyframe."""
    origin = Origin(SegmentBytes(data=BEFORE.data))
    verdict = pipeline.moderate(SEGMENT.data, context=DRILL, seed=b"tests", before=origin)
    (hit, *_) = [hit for hit in verdict.hits if hit.rule == "selftest"]
    assert 0 < hit.pts_seconds < SEGMENT.leading / RATE
    assert hit.capture_ms == DRILL.capture_ms + round(hit.pts_seconds * 1000)
    assert verdict.unmoderated == ()
    assert [sample.pts_seconds for sample in verdict.samples] == sorted(s.pts_seconds for s in verdict.samples)
    assert origin.fetched == 1


@pytest.mark.parametrize("origin", [None, Origin(None), Origin(SegmentBytes(data=clip(held(photo("rocket"), 2))))])
def test_without_it_their_time_is_failed_and_the_rest_moderated(pipeline: Pipeline, origin: Origin | None) -> None:
    """The first sample would speak for pictures that nobody saw."""
    verdict = pipeline.moderate(SEGMENT.data, context=DRILL, seed=b"tests", before=origin)
    assert lost(verdict) == {"leading": pytest.approx(SEGMENT.leading / RATE)}
    assert not verdict.hits
    share = verdict.ledger_share(2_000)
    assert share.failed_ms == {"leading": pytest.approx(SEGMENT.leading / RATE * 1000, abs=30)}
    assert share.unhashable_ms <= share.moderated_ms


def test_it_is_not_fetched_for_closed_gops(pipeline: Pipeline) -> None:
    """Every segment of every stream would be fetched twice."""
    origin = Origin(SegmentBytes(data=BEFORE.data))
    pipeline.moderate(clip(held(photo("coffee"), 2)), context=DRILL, seed=b"tests", before=origin)
    assert origin.fetched == 0


def test_leading_pictures_are_compared_with_what_came_before_them(pipeline: Pipeline) -> None:
    """A still stream of open GOPs would be classified anew in each segment: twice the cost of a closed one."""
    plain = open_segments()
    first = pipeline.moderate(
        plain[1].data, context=DRILL, seed=b"tests", before=Origin(SegmentBytes(data=plain[0].data))
    )
    later = replace(DRILL, capture_ms=DRILL.capture_ms + 2_000)
    second = pipeline.moderate(
        plain[2].data, context=later, seed=b"tests", gate=first.gate, before=Origin(SegmentBytes(data=plain[1].data))
    )
    assert min(sample.pts_seconds for sample in second.samples) < plain[2].leading / RATE
    assert all(sample.deduplicated for sample in second.samples)
    assert second.gate is not None
    assert second.gate.capture_ms == max(first.gate.capture_ms, second.gate.capture_ms)


def test_what_kills_the_decoder_in_the_segment_before_costs_only_its_leading_pictures(pipeline: Pipeline) -> None:
    """A hostile segment would take the one after it with it."""
    verdict = pipeline.moderate(
        SEGMENT.data, context=DRILL, seed=b"tests", before=Origin(SegmentBytes(data=BEFORE.data[:40_000]))
    )
    assert set(lost(verdict)) <= {"leading"}
