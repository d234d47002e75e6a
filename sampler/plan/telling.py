"""Runs whose packets say something of what their pictures show, by their sizes."""

import math
from collections.abc import Sequence
from statistics import median

from sampler.demux.packets import PacketRun, VideoPacket
from sampler.plan.cut_score import QUANTISER_DOUBLING, SMALLEST_BYTES

ROOM_DOUBLINGS = 1.0
"""Doublings by which a keyframe must be larger than the median of the pictures after it, that one of them could stand
out as much as a cut does: under grain and flicker they are all large."""
SHORT_SECONDS = 0.75
"""A GOP shorter (<) than this has too few pictures to compare one with: an insert may fill all of it but the keyframe.
Few encoders make such GOPs."""


def tells(packets: Sequence[VideoPacket], run: PacketRun) -> bool:
    """True if a cut in the run would show in its packets."""
    sizes = [_doublings(packets[index]) for index in range(run.start, run.stop) if not packets[index].completes]
    if len(sizes) < 2:
        return True
    seconds = [packets[index].seconds for index in range(run.start, run.stop)]
    is_short = run.stop - run.start < len(packets) and max(seconds) - min(seconds) < SHORT_SECONDS
    return not is_short and sizes[0] - median(sizes[1:]) >= ROOM_DOUBLINGS


def _doublings(packet: VideoPacket) -> float:
    size = math.log2(max(packet.size_bytes, SMALLEST_BYTES))
    return size if packet.quantiser is None else size + packet.quantiser / QUANTISER_DOUBLING
