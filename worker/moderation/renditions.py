"""A segment that was moderated in two renditions: whether both show the same, and their verdicts as one."""

from dataclasses import replace

from config.facts import SegmentSource
from worker.moderation.stages import ModelTally
from worker.moderation.verdict import SampleVerdict, SegmentVerdict

DIFFERENT_BITS = 80
"""Distance of the PDQ hashes of one instant in two renditions from which (>) they show different pictures.

Ten films of the benchmark, as 1280×720 at 3 Mbit/s and as 426×240 at 150 kbit/s, are at most 26 bits apart, as 256×144
at 80 kbit/s at most 34, but for slides with small print, 60; different pictures are 130 apart in the median, and 1 in
100 of them, near relatives among them, under 78 (2026-11-29)."""

SAME_INSTANT_SECONDS = 0.02
"""Pictures whose times differ by no more are of one instant: half of one at 25 a second, so that a rendition of half
the rate has no other picture there."""

DIFFER = "renditions_differ"
"""Note on a segment, from which the signal `renditions-differ` comes."""


def renditions_differ(watched: SegmentVerdict, other: SegmentVerdict) -> bool:
    """Returns whether both have a picture of one instant, and show something else in it.

    Instants are told by the container's clock, which renditions share (RFC 8216, section 6.2.4). Where they do not, and
    in pictures that cannot be hashed, nothing is compared.
    """
    shift_seconds = other.origin_seconds - watched.origin_seconds
    return any(
        abs(two.pts_seconds + shift_seconds - one.pts_seconds) <= SAME_INSTANT_SECONDS
        and _distance(one, two) > DIFFERENT_BITS
        for one in watched.samples
        for two in other.samples
    )


def with_rendition(watched: SegmentVerdict, other: SegmentVerdict, source: SegmentSource) -> SegmentVerdict:
    """The verdict on a segment, with the pictures of another rendition of it, which cover none of its time.

    Args:
        source: place of the other rendition's segment.
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
        notes=watched.notes + (DIFFER,) * renditions_differ(watched, other),
        evidence=watched.evidence.with_more(other.evidence),
    )


def _distance(one: SampleVerdict, two: SampleVerdict) -> int:
    """Bits in which the hashes differ; 0 where one is not hashable, or made up in part."""
    if one.pdq is None or two.pdq is None or one.concealed or two.concealed:
        return 0
    return (int(one.pdq, 16) ^ int(two.pdq, 16)).bit_count()
