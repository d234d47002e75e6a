"""A second video track: moderated as the first is, and on one timeline with it."""

from itertools import groupby, pairwise

from clips import RATE, card, clip, held, photo
from media import side_by_side

from config.facts import StreamFacts
from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.pipeline import Pipeline
from worker.moderation.segment_before import SamplerInput

DRILL = ModerationContext(stream=StreamFacts(stream_id="s", purpose="drill"), capture_ms=1_000_000)
LATER = ModerationContext(stream=StreamFacts(stream_id="s", purpose="drill"), capture_ms=1_004_000)
COFFEE = clip(held(photo("coffee"), 4), gop_seconds=4)
CARDED = clip(held(photo("rocket"), 2) + held(card(), 1) + held(photo("rocket"), 1), gop_seconds=4)


def test_a_listed_picture_in_the_second_track_alone_is_found(pipeline: Pipeline) -> None:
    """A broadcaster whose player shows the second track could show anything."""
    verdict = pipeline.moderate(side_by_side(COFFEE, CARDED), context=DRILL, seed=b"tests")
    hits = [hit for hit in verdict.hits if hit.rule == "selftest"]

    assert hits
    assert all(2 <= hit.pts_seconds < 3 for hit in hits)
    assert all(hit.capture_ms == DRILL.capture_ms + round(hit.pts_seconds * 1000) for hit in hits)
    assert verdict.unmoderated == ()
    assert verdict.frames_total == 2 * 4 * RATE
    assert all(one.pts_seconds <= other.pts_seconds for one, other in pairwise(verdict.samples))


def test_each_still_track_is_classified_once(pipeline: Pipeline) -> None:
    """Each picture of a second track would look new beside the first one's, and be classified."""
    both = side_by_side(COFFEE, clip(held(photo("rocket"), 4)))
    first = pipeline.moderate(both, context=DRILL, seed=b"tests")
    second = pipeline.moderate(both, context=LATER, seed=b"tests", gate=first.gate)

    assert len(first.samples) >= 4
    assert sum(not sample.deduplicated for sample in first.samples) == 2
    assert sum(not sample.deduplicated for sample in second.samples) == 1


def test_the_gate_goes_back_where_another_track_begins(decoder: Decoder) -> None:
    """Pictures of the second track would be compared with later ones of the first."""
    told: list[str] = []
    sampling = SamplerInput(data=side_by_side(COFFEE, CARDED), init=b"", seed=b"tests", before=None)

    sampling.sample(
        decoder,
        BALANCED,
        lambda frame: told.append(f"picture of {frame.track}"),
        go_back=lambda: told.append("back"),
        fresh=False,
    )
    assert [one for one, _ in groupby(told)] == ["picture of 0", "back", "picture of 1"]
