"""Macroblocks that decoding takes, by the pictures that come. Runs in the decoder child.

A plan counts by what headers say of size and samples. Where pictures turn out to be more, decoding ends once they have
used up what the plan may take: what is not decoded then is in the ledger, as what a plan leaves out.
"""

import math

from av.video.frame import VideoFrame

from sampler.demux.codecs.sample_weight import sample_weight
from sampler.demux.packets import VideoPacket
from sampler.plan.budget import MACROBLOCK_PIXELS, DecodingBound, cost_of

SPARE_SHARE = 0.05
"""Share of the bound that may be decoded besides: a plan leaves out the second time that a headless run's first packet
is decoded, and fields that come alone."""
FULL_SAMPLES = 1.5
"""Samples of a pixel in 4:2:0."""


class DecodingMeter:
    """The macroblocks that are left of one window's."""

    def __init__(self, bound: DecodingBound | None, decoder: str, *, samples: int = 0) -> None:
        """None: nothing is bounded. `decoder`: as FFmpeg calls it; `samples`: planned ones, which count too, without
        those that `hand_over` counts."""
        self._cost = cost_of(decoder)
        self._left = math.inf
        self._sample_macroblocks = 0.0
        self._picture_macroblocks = 0.0
        self._advance = 0.0
        self.has_sample = True
        """A first sample was taken: until then as much again may be decoded for it."""
        if bound is not None and bound.picture_macroblocks:
            self._left = (1 + SPARE_SHARE) * bound.macroblocks - bound.handed_over(samples)
            self._sample_macroblocks = bound.handed_over(1)
            self._picture_macroblocks = bound.picture_macroblocks
            self._advance = bound.macroblocks
            self.has_sample = not bound.first_bytes
        self._awaited = 0

    def pays(self, packet: VideoPacket) -> bool:
        """Takes what decoding a packet costs; False: too little is left, and it is not to be decoded."""
        if self._left <= (0 if self.has_sample else -self._advance):
            return False
        self._awaited += packet.pictures
        self._left -= packet.pictures * self._picture_macroblocks + packet.size_bytes * self._cost.byte
        return True

    def hand_over(self) -> None:
        """Takes what a sample costs that might not have been taken."""
        self._left -= self._sample_macroblocks

    def count(self, frame: VideoFrame) -> None:
        """Counts what a picture turned out to be, and those that are decoded and did not come yet."""
        macroblocks = self._cost.macroblock * frame.width * frame.height / MACROBLOCK_PIXELS * _weight(frame)
        if macroblocks > self._picture_macroblocks:
            self._left -= (macroblocks - self._picture_macroblocks) * self._awaited
            self._picture_macroblocks = macroblocks
        self._awaited = max(self._awaited - 1, 0)


def _weight(frame: VideoFrame) -> float:
    components = frame.format.components
    samples = sum(one.width * one.height for one in components) / (frame.width * frame.height)
    return sample_weight(samples / FULL_SAMPLES, components[0].bits)
