"""The plan: the pictures of an input to decode, with reasons, chosen from packets alone, before any decoding.

A pure function of (packets, profile, seed). Each segment is planned separately: its first decodable picture is taken,
and no more than `max_gap_seconds` is left at its end, so that segments may be worked on in any order.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from config.profiles import SamplingProfile
from sampler.demux.packets import PacketRun, VideoPacket, runs
from sampler.frames import SampleReason
from sampler.plan.cut_score import Cut, find_cuts

SAME_INSTANT_SECONDS = 1e-6
"""Times nearer than this are the same: they come from sums of fractions."""
SURE_DOUBLINGS = 3.0
"""Score from which a cut is sampled whatever its own packet shows: of 1,387 suspects in clips with inserts 454 had
it, and 8 of those were none. Else an encoder made for it could hide an insert as one large residual."""
PREDICTED_SHARE = 0.5
"""Share of a picture's area, over which it is no cut by the lowest score. On 1,116 inserts nine of ten first pictures
had under 0.15, and most that were only large for their motion over 0.9; fast motion and blur have 0.4 to 0.8. Any bound
from 0.2 to 0.8 kept every insert found."""
WINDOW_SHARE = 0.8
"""The same by the strongest: a cut in a window of a fifth of the picture, over a ground that stays."""
PROBED_DOUBLINGS = 0.8
"""Taken off the required score, where only sizes are known and suspects are probed before anything else is
decoded for them: without quantisers a cut shows less. On x265 that probes 1 to 6 % of the pictures, and of 420 inserts
of 0.25 to 2 s 418 were seen instead of 405."""
PASSED_OVER_DOUBLINGS = 0.25
"""A keyframe that is near the last sample is skipped, unless its size differs from the last keyframe's by this
many doublings (19 %): where every picture is a keyframe, that is all a cut shows."""


class Proof(NamedTuple):
    """A packet that must be coded as new content for a picture to be worth taking."""

    packet: int
    """Its index, in decoding order."""
    predicted_share: float
    """Share of the picture's area up to (<=) which it may be predicted from others all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedPicture:
    """A picture to take."""

    index: int
    """Index of its packet, in decoding order."""
    reason: SampleReason
    proofs: tuple[Proof, ...] = ()
    """One of them must hold; (): the picture is taken anyway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """Pictures to take of one run; nothing is decoded of a run without targets."""

    run: PacketRun
    targets: tuple[PlannedPicture, ...]
    """By presentation time, no picture twice."""


def plan(
    packets: Sequence[VideoPacket],
    *,
    profile: SamplingProfile,
    seed: bytes,
    end_seconds: float,
    probed: bool = False,
    watched: bool = False,
) -> tuple[RunPlan, ...]:
    """The pictures to take of `packets`, run by run.

    Args:
        packets: of one input or one window of it, in decoding order.
        profile: how densely to sample.
        seed: secret and different for every segment: without it the places of audits are unpredictable.
        end_seconds: where the last picture's time ends.
        probed: True if the executor probes suspects before it decodes their references.
        watched: True if it finds cuts itself, among all pictures.
    """
    parts = [(run, clean) for run in runs(packets) if (clean := _clean(packets, run))]
    chosen = _first_pictures(packets, parts, profile)
    # Gaps are filled as if there were no cuts: a cut may turn out to be none.
    last_seconds = -math.inf
    for number, (_, clean) in enumerate(parts):
        until = packets[parts[number + 1][1][0]].seconds if number + 1 < len(parts) else end_seconds
        _fill_gaps(packets, clean, last_seconds, until, profile.max_gap_seconds, chosen)
        last_seconds = max((packets[index].seconds for index in clean if index in chosen), default=last_seconds)
        _add_audit(packets, clean, until, profile.audits_per_minute, seed, chosen)
    _close_holes(packets, parts, profile.max_gap_seconds, chosen)
    proofs = {} if watched else _cuts(packets, parts, profile, end_seconds, probed=probed)
    return tuple(
        RunPlan(
            run=run,
            targets=tuple(
                PlannedPicture(index=index, reason=chosen[index])
                if index in chosen
                else PlannedPicture(index=index, reason=SampleReason.CUT, proofs=proofs[index])
                for index in clean
                if index in chosen or index in proofs
            ),
        )
        for run, clean in parts
    )


def _clean(packets: Sequence[VideoPacket], run: PacketRun) -> list[int]:
    """Pictures of the run that are shown and come out right, by presentation time."""
    indices = [index for index in range(run.start, run.stop) if run.shows(index, packets[index])]
    return sorted(indices, key=lambda index: packets[index].seconds)


def _of_other_runs(packets: Sequence[VideoPacket], run: PacketRun) -> set[int]:
    """The run's own leading pictures, which the run before decodes, and the keyframe after it."""
    return {
        index
        for index in range(run.start, run.stop)
        if not run.decodes(index, packets[index]) or (index >= run.own_stop and not packets[index].leading)
    }


def _first_pictures(
    packets: Sequence[VideoPacket], parts: Sequence[tuple[PacketRun, list[int]]], profile: SamplingProfile
) -> dict[int, SampleReason]:
    """The first picture of every run, but keyframes near the one before that look alike by their size."""
    chosen: dict[int, SampleReason] = {}
    last: VideoPacket | None = None
    for run, clean in parts:
        first = packets[clean[0]]
        if not first.keyframe:
            chosen[clean[0]] = SampleReason.GAP
            if run.recovered is not None:
                chosen[run.recovered] = SampleReason.GAP
            continue
        if last is not None and first.seconds - last.seconds < profile.keyframe_spacing_seconds:
            sizes = max(first.size_bytes, 1), max(last.size_bytes, 1)
            if abs(math.log2(sizes[0] / sizes[1])) < PASSED_OVER_DOUBLINGS:
                continue
        chosen[clean[0]] = SampleReason.KEYFRAME
        last = first
    return chosen


def _fill_gaps(
    packets: Sequence[VideoPacket],
    clean: Sequence[int],
    last_seconds: float,
    until: float,
    gap_seconds: float,
    chosen: dict[int, SampleReason],
) -> None:
    """Adds pictures of the run so that no stretch from `last_seconds`, the sample before, to `until` is longer than
    the gap.

    The last one is taken as early as it may be, `gap_seconds` before `until`, since all before it must be decoded for
    it; those between stand even. Samples fall on pictures, so a stretch may be longer by one picture's time.
    """
    anchors = [packets[index].seconds for index in clean if index in chosen]
    if clean[0] not in chosen:
        anchors.insert(0, last_seconds)
    for previous, following in pairwise([*anchors, until]):
        count = math.ceil((following - previous - SAME_INSTANT_SECONDS) / gap_seconds) - 1
        step = (following - previous - gap_seconds) / max(count, 1)
        wanted = [previous + step * (number + 1) for number in range(count)]
        for index in _first_at_or_after(packets, clean, wanted):
            chosen.setdefault(index, SampleReason.GAP)


def _close_holes(
    packets: Sequence[VideoPacket],
    parts: Sequence[tuple[PacketRun, list[int]]],
    gap_seconds: float,
    chosen: dict[int, SampleReason],
) -> None:
    """Adds pictures where GOPs lie in another order on the timeline than in the stream, or among one another: no
    encoder makes such streams, but a broadcaster who hides in a hole may."""
    last_seconds = -math.inf
    for seconds, index in sorted((packets[index].seconds, index) for _, clean in parts for index in clean):
        if index not in chosen and seconds - last_seconds > gap_seconds + SAME_INSTANT_SECONDS:
            chosen[index] = SampleReason.GAP
        if index in chosen:
            last_seconds = seconds


def _add_audit(
    packets: Sequence[VideoPacket],
    clean: Sequence[int],
    until: float,
    audits_per_minute: float,
    seed: bytes,
    chosen: dict[int, SampleReason],
) -> None:
    """Adds random pictures of the run, by the audit rate."""
    start = packets[clean[0]].seconds
    digest = hashlib.blake2b(f"{start:.6f}".encode(), key=hashlib.sha256(seed).digest(), digest_size=16).digest()
    draw = int.from_bytes(digest[:8], "big") / 2**64
    instant = int.from_bytes(digest[8:], "big") / 2**64
    if draw < audits_per_minute * (until - start) / 60:
        for index in _first_at_or_after(packets, clean, [start + instant * (until - start)]):
            chosen.setdefault(index, SampleReason.AUDIT)


def _cuts(
    packets: Sequence[VideoPacket],
    parts: Sequence[tuple[PacketRun, list[int]]],
    profile: SamplingProfile,
    end_seconds: float,
    *,
    probed: bool,
) -> dict[int, tuple[Proof, ...]]:
    """The pictures on both sides of the cuts with the highest scores, each with the packets one of which must prove it.

    The one before costs no decoding, and is the insert's last where only its end is seen.
    """
    if not parts:
        return {}
    takeable = {index for _, clean in parts for index in clean}
    sizes_alone = any(packet.quantiser is None for packet in packets)
    threshold = profile.cut_doublings - (PROBED_DOUBLINGS if probed and sizes_alone else 0)
    cuts = [
        cut
        for run, _ in parts
        for cut in find_cuts(packets, run.start, run.stop, threshold, passed_over=_of_other_runs(packets, run))
    ]
    cuts.sort(key=lambda cut: -cut.score)
    span_seconds = end_seconds - packets[parts[0][1][0]].seconds
    found: dict[int, list[Cut]] = {}
    for cut in cuts[: math.ceil(profile.cuts_per_second * span_seconds)]:
        for index in {cut.index, cut.before} & takeable:
            found.setdefault(index, []).append(cut)
    return {
        index: () if max(cut.score for cut in cuts) >= SURE_DOUBLINGS else tuple(_proof(cut, threshold) for cut in cuts)
        for index, cuts in found.items()
    }


def _proof(cut: Cut, threshold: float) -> Proof:
    """The higher the score, the less of the picture must be new."""
    strength = (cut.score - threshold) / (SURE_DOUBLINGS - threshold)
    return Proof(cut.index, PREDICTED_SHARE + strength * (WINDOW_SHARE - PREDICTED_SHARE))


def _first_at_or_after(packets: Sequence[VideoPacket], clean: Sequence[int], wanted: Sequence[float]) -> list[int]:
    """For each instant, ascending, the picture shown first at it or after it; the last one where there is none."""
    found = []
    position = 0
    for seconds in wanted:
        while position < len(clean) - 1 and packets[clean[position]].seconds < seconds - SAME_INSTANT_SECONDS:
            position += 1
        found.append(clean[position])
    return found
