"""Runs whose packets say something of what their pictures show, by their sizes."""

import math
from collections.abc import Sequence
from itertools import accumulate
from statistics import median

from sampler.demux.packets import PacketRun, VideoPacket
from sampler.plan.cut_score import QUANTISER_DOUBLING, SMALLEST_BYTES

ROOM_DOUBLINGS = 1.0
"""Doublings by which a keyframe must be larger than the median of the pictures after it, that one of them could stand
out as much as a cut does: under grain and flicker they are all large."""
SHORT_SECONDS = 0.75
"""A GOP shorter (<) than this has too few pictures to compare one with: an insert may fill all of it but the keyframe.
Few encoders make such GOPs."""
FLAT_DOUBLINGS = 0.2
"""If the middle four fifths of a run's predicted pictures lie nearer (<) to each other than this, by their sizes and by
their complexity, something else than what they show has made them so: bytes behind a slice's end, which decoders skip,
hide any cut. Of 268 GOPs of `python -m bench.hiding --part uncut --part plain` 6 of x264 are watched for it and none of
x265 (a dark webcam, a game, a still camera); of 200 in ten other settings 2 and 7, nearly all at constant QP."""
FLAT_PICTURES = 8
"""So many are compared at least. Where fewer are shown in the order they are decoded in, B-frames count too."""
FLAT_BYTES, FLAT_SHARE = 300, 8
"""Pictures of under (<) so many bytes, or such a part of their keyframe, are alike where nothing moves, and have no
room for anything new: a still camera at 720p with a small buffer has 16 kB each beside 147 kB."""

SPARSE_SECONDS = 0.35
"""Pictures shown in the order they are decoded in, and others between, are so far apart (>=), in the median of a run,
that an insert fits between two of them: of those between, which lean on both sides, none need stand out."""


def is_short(packets: Sequence[VideoPacket], run: PacketRun) -> bool:
    """True if a run, which is not all of the input, has too few pictures to compare one with."""
    seconds = [packets[index].seconds for index in range(run.start, run.stop)]
    return len(seconds) < len(packets) and max(seconds) - min(seconds) < SHORT_SECONDS


def tells(packets: Sequence[VideoPacket], run: PacketRun) -> bool:
    """True if a cut in the run would show in its packets, unless something else than what they show has made them.

    By their sizes as well as by their complexity: slices may name a quantiser that their blocks take back.
    """
    if is_short(packets, run) or is_sparse(packets, run):
        return False
    whole = _whole(packets, run)
    return len(whole) < 2 or all(
        scale(whole[0]) - median(map(scale, whole[1:])) >= ROOM_DOUBLINGS for scale in (_size_doublings, _doublings)
    )


def is_sparse(packets: Sequence[VideoPacket], run: PacketRun) -> bool:
    """True if an insert fits between the pictures of a run that are shown in the order they are decoded in."""
    latest, between, steps = -math.inf, False, []
    for packet in _whole(packets, run):
        if packet.seconds <= latest:
            between = True
            continue
        steps.append(packet.seconds - latest)
        latest = packet.seconds
    return between and len(steps) > 1 and median(steps[1:]) >= SPARSE_SECONDS


def is_flat(packets: Sequence[VideoPacket], run: PacketRun) -> bool:
    """True if a run's pictures, of which the first is its keyframe, are all of one size."""
    whole = _whole(packets, run)
    if not whole:
        return False
    latest = list(accumulate((packet.seconds for packet in whole), max))
    forward = [packet for packet, before in zip(whole[1:], latest, strict=False) if packet.seconds > before]
    compared = forward if len(forward) >= FLAT_PICTURES else whole[1:]
    smallest = max(FLAT_BYTES, whole[0].size_bytes / FLAT_SHARE)
    if len(compared) < FLAT_PICTURES or median(packet.size_bytes for packet in compared) < smallest:
        return False
    scales = [_size_doublings(packet) for packet in compared], [_doublings(packet) for packet in compared]
    return max(map(_spread, scales)) < FLAT_DOUBLINGS


def _whole(packets: Sequence[VideoPacket], run: PacketRun) -> list[VideoPacket]:
    return [packets[index] for index in range(run.start, run.stop) if not packets[index].completes]


def _spread(values: Sequence[float]) -> float:
    """The distance between the ends of the middle four fifths."""
    ordered = sorted(values)
    outer = len(ordered) // 10
    return ordered[-1 - outer] - ordered[outer]


def _doublings(packet: VideoPacket) -> float:
    size = _size_doublings(packet)
    return size if packet.quantiser is None else size + packet.quantiser / QUANTISER_DOUBLING


def _size_doublings(packet: VideoPacket) -> float:
    return math.log2(max(packet.size_bytes, SMALLEST_BYTES))
