"""Whether the pictures taken are the ones that a player shows: a sampler that skips what it decodes from would see
pictures at all the right times, and nothing in them."""

from dataclasses import dataclass
from io import BytesIO

import av
import numpy as np

from bench.clips import FRAMES_PER_SECOND, Clip, seconds
from bench.ways import sampled
from config.profiles import SamplingProfile
from sampler.decoder import Decoder
from sampler.picture import Plane

WRONG_LEVELS = 10
"""Mean difference of the luma plane, in levels of 255, above which a picture is not the one shown. The sampler may
leave out the loop filter: that drifted by up to 6 levels in these clips, most with a tight VBV, just after a cut."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """So many of the pictures taken are not what a player shows at their time."""

    encoder: str
    wrong: int
    taken: int


def compare(clip: Clip, decoder: Decoder, profile: SamplingProfile) -> Fidelity:
    """Holds each picture taken against FFmpeg's full decoding of its segment, as a player shows it that begins there.

    Concealed pictures claim nothing: a player does not show them.

    With intra refresh that may itself differ from the stream: x264 lets intra blocks lean on blocks that are not yet
    refreshed, so that parts stay darker than they were until they are coded anew.
    """
    wrong = taken = 0
    for (_, segment), data in zip(sampled(clip, decoder, profile), clip.segments, strict=True):
        if segment is None:
            continue
        looked_at = {
            round(frame.pts_seconds * FRAMES_PER_SECOND): frame.picture.planes[0]
            for frame in segment.frames
            if not frame.concealed
        }
        taken += len(looked_at)
        wrong += len(looked_at) - _shown(data, looked_at)
    return Fidelity(encoder=clip.encoder, wrong=wrong, taken=taken)


def _shown(segment: bytes, looked_at: dict[int, Plane]) -> int:
    """How many luma planes, by the number of their picture, are what a player shows of the segment at that time."""
    right = 0
    with av.open(BytesIO(segment), "r", format="mpegts") as container:
        packets = list(container.demux(video=0))
        first_seconds = min(seconds(packet) for packet in packets if packet.size)
        for packet in packets:
            for frame in packet.decode():
                luma = looked_at.get(round((seconds(frame) - first_seconds) * FRAMES_PER_SECOND))
                if luma is not None:
                    shown = np.asarray(frame.to_ndarray(format="yuv420p"), np.int16)[: frame.height]
                    right += bool(np.abs(shown - luma).mean() <= WRONG_LEVELS)
    return right
