"""Fidelity of samples to the pictures that a player shows: a sampler that skips reference pictures would return wrong
content at the right times."""

from dataclasses import dataclass
from io import BytesIO

import av
import numpy as np

from bench.clips import FRAMES_PER_SECOND, Clip
from bench.methods import sampled
from config.profiles import SamplingProfile
from sampler.child.decoder import Decoder
from sampler.picture import Plane

WRONG_LEVELS = 10
"""Mean difference of the luma plane, in levels of 255, above which a picture is not the one shown. The sampler may omit
the loop filter: that drifted by up to 6 levels in these clips, most with a tight VBV, just after a cut."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """Number of samples that differ from what a player shows at their time."""

    encoder: str
    wrong: int
    taken: int


def compare(clip: Clip, decoder: Decoder, profile: SamplingProfile) -> Fidelity:
    """Compares each sample with FFmpeg's full decoding of the stream.

    Concealed pictures are left out: a player does not show them.
    """
    sampled_lumas: dict[int, Plane] = {}
    for start_seconds, segment in sampled(clip, decoder, profile):
        for frame in segment.frames if segment is not None else ():
            if not frame.concealed:
                number = round((start_seconds + frame.pts_seconds) * FRAMES_PER_SECOND)
                sampled_lumas[number] = frame.picture.planes[0]
    return Fidelity(
        encoder=clip.encoder, wrong=len(sampled_lumas) - _shown(clip.stream, sampled_lumas), taken=len(sampled_lumas)
    )


def _shown(stream: bytes, sampled_lumas: dict[int, Plane]) -> int:
    """Number of luma planes, by picture number, that equal what a player shows at that time."""
    right = 0
    with av.open(BytesIO(stream), "r", format="mpegts") as container:
        for number, frame in enumerate(container.decode(video=0)):
            luma = sampled_lumas.get(number)
            if luma is not None:
                shown = np.asarray(frame.to_ndarray(format="yuv420p"), np.int16)[: frame.height]
                right += bool(np.abs(shown - luma).mean() <= WRONG_LEVELS)
    return right
