"""Whether the pictures taken are the ones that a player shows: a sampler that skips what it decodes from would see
pictures at all the right times, and nothing in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import av
import numpy as np

from bench.clips import FRAMES_PER_SECOND, Clip, seconds
from bench.ways import sampled
from config.profiles import SamplingProfile
from sampler.decoder import Decoder
from sampler.picture import Plane

WRONG_LEVELS = 4
"""Mean difference of the luma plane, in levels of 255, above which a picture is not the one shown. Decoding is exact;
only after a recovery point may it differ by a little (ITU-T H.264, D.2.8, `exact_match_flag`)."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """So many of the pictures taken are not what full decoding shows at their time."""

    encoder: str
    wrong: int
    taken: int


def compare(clip: Clip, decoder: Decoder, profile: SamplingProfile) -> Fidelity:
    """Holds each picture taken of a clip against a full decoding of the whole stream."""
    taken = dict(_taken(clip, decoder, profile))
    wrong = 0
    with av.open(BytesIO(clip.stream), "r", format="mpegts") as whole:
        first_seconds: float | None = None
        for frame in whole.decode(whole.streams.video[0]):
            shown_seconds = seconds(frame)
            first_seconds = shown_seconds if first_seconds is None else first_seconds
            luma = taken.get(round((shown_seconds - first_seconds) * FRAMES_PER_SECOND))
            if luma is not None:
                shown = np.asarray(frame.to_ndarray(format="yuv420p"), np.int16)[: frame.height]
                wrong += bool(np.abs(shown - luma).mean() > WRONG_LEVELS)
    return Fidelity(encoder=clip.encoder, wrong=wrong, taken=len(taken))


def _taken(clip: Clip, decoder: Decoder, profile: SamplingProfile) -> Iterator[tuple[int, Plane]]:
    """Number of each picture taken, in the clip, and its luma plane."""
    for start_seconds, segment in sampled(clip, decoder, profile):
        for frame in segment.frames if segment is not None else ():
            yield round((start_seconds + frame.pts_seconds) * FRAMES_PER_SECOND), frame.picture.planes[0]
