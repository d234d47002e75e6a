"""A segment that was moderated in two renditions: whether both show the same, and their verdicts as one."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from config.facts import SegmentSource
from worker.moderation.stages import ModelTally
from worker.moderation.verdict import SegmentVerdict

DIFFERENT_BITS = 100
"""Distance of the PDQ hashes of one instant in two renditions from which (>) they show different pictures.

Ten films of the benchmark, as 1280×720 at 3 Mbit/s and as 426×240 at 150 kbit/s, are at most 26 bits apart, as 256×144
at 80 kbit/s at most 34, but for slides with small print, 60. 24 pages of print and a wall of bricks are up to 94 apart
as 1920×1080 and as 256×144; after a scaler that skips pixels 4 of the pages are 108 to 120. Different pictures are 130
apart in the median (2026-11-29)."""

SAME_INSTANT_SECONDS = 0.02
"""Pictures whose times differ by no more are of one instant: half of one at 25 a second, so that a rendition of half
the rate has no other picture there."""

NEAR_SECONDS = 1.0
"""A picture that the other rendition shows within this time (<=) before or after is no different one. Clocks may be a
few pictures apart, for each muxer adds the delay of its own B-frames, or half a second, where renditions are encoded
apart; and of two at 30 and at 60 a second one has a cut a picture earlier. Samples are taken at cuts: without this 14
to 26 of 40 audits of films with a cut a second found both sides of one at one instant, with it none did. Of renditions
that show something else all the time 34 of 40 audits find it, where that is so for a second 8, for half a second 4
(2026-11-29)."""

SAME_SHAPE = 1.05
"""Ratio of two aspect ratios up to which (<=) pictures can be compared: one of another shape has bars, or is cropped,
which moves PDQ as far as other content does."""

DIFFER = "renditions_differ"
"""Note on a segment, from which the signal `renditions-differ` comes."""


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """A picture that can be compared."""

    at_seconds: float
    """By the clock that both renditions share."""
    pdq: int
    shape: float
    """Width by height."""


def renditions_differ(watched: SegmentVerdict, other: SegmentVerdict) -> bool:
    """Returns whether both have a picture of one instant, and neither's is shown by the other about that time.

    Instants are told by the container's clock, which renditions share (RFC 8216, section 6.2.4). Where they do not, and
    in pictures that cannot be hashed, nothing is compared.
    """
    ones, twos = _shown(watched), _shown(other)
    return any(
        _differ(one, two) and not _is_among(one, twos) and not _is_among(two, ones)
        for one in ones
        for two in _about(one, twos, SAME_INSTANT_SECONDS)
    )


def _shown(verdict: SegmentVerdict) -> list[_Shown]:
    """The pictures that are hashable, and not made up in part, by time."""
    shown = [
        _Shown(
            at_seconds=verdict.origin_seconds + sample.pts_seconds,
            pdq=int(sample.pdq, 16),
            shape=sample.width / sample.height,
        )
        for sample in verdict.samples
        if sample.pdq is not None and not sample.concealed
    ]
    return sorted(shown, key=lambda one: one.at_seconds)


def _about(one: _Shown, others: Sequence[_Shown], seconds: float) -> Sequence[_Shown]:
    """Those of `others` that are shown at most so long before or after it."""
    begin = bisect_left(others, one.at_seconds - seconds, key=lambda other: other.at_seconds)
    end = bisect_right(others, one.at_seconds + seconds, key=lambda other: other.at_seconds)
    return others[begin:end]


def _is_among(one: _Shown, others: Sequence[_Shown]) -> bool:
    return any((one.pdq ^ other.pdq).bit_count() <= DIFFERENT_BITS for other in _about(one, others, NEAR_SECONDS))


def _differ(one: _Shown, two: _Shown) -> bool:
    is_comparable = max(one.shape, two.shape) <= SAME_SHAPE * min(one.shape, two.shape)
    return is_comparable and (one.pdq ^ two.pdq).bit_count() > DIFFERENT_BITS


def with_rendition(
    watched: SegmentVerdict, other: SegmentVerdict, source: SegmentSource, *, is_compared: bool
) -> SegmentVerdict:
    """The verdict on a segment, with the pictures of another rendition of it, which cover none of its time.

    Args:
        source: place of the other rendition's segment.
        is_compared: both should show the same; what they show otherwise is noted.
    """
    added = tuple(
        replace(sample, source=source, hits=tuple(replace(hit, source=source) for hit in sample.hits))
        for sample in other.samples
    )
    tallies = {name: replace(tally) for name, tally in watched.model_tallies.items()}
    for name, tally in other.model_tallies.items():
        tallies.setdefault(name, ModelTally()).add(tally)
    return replace(
        watched,
        samples=tuple(sorted((*watched.samples, *added), key=lambda sample: sample.pts_seconds)),
        frames_decoded=watched.frames_decoded + other.frames_decoded,
        cpu_seconds=watched.cpu_seconds + other.cpu_seconds,
        model_tallies=tallies,
        degraded=tuple(sorted({*watched.degraded, *other.degraded})),
        notes=watched.notes + (DIFFER,) * (is_compared and renditions_differ(watched, other)),
        evidence=watched.evidence.with_more(other.evidence),
    )
