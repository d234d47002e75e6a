"""Streams made to cost as much as can be, and ordinary ones to compare the pipelines on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from bench.clips import EncoderSetting
from bench.hidden_clips import HiddenClip, MakeClip, encoded
from bench.hidden_rows import AV1, PLAIN, SEGMENT_SECONDS, VP9, X264_LOW_DELAY, X264_QUALITY, X265, HiddenRow
from bench.made_clips import lazy_reel
from bench.material import MONTAGE, Reel
from bench.staging import I420, StagedReel, Strobe, planes, portrait

HEAD = "carphone_pristine"
SMALL, LARGE = (640, 360), (1280, 720)
GOP_SECONDS = 2
PRICED_SEGMENTS = 5


@dataclass(frozen=True, kw_only=True)
class PricedStream:
    """A stream on which the pipelines are compared."""

    name: str
    floor: float
    """Times as cheap as the plain pipeline that it shall be, >=."""
    encoder: EncoderSetting
    ground: str = HEAD
    size: tuple[int, int] = SMALL
    frames_per_second: int = 24
    repeats: int = 1
    grain: bool = False

    def make(self) -> MakeClip:
        """The clip of its ground alone."""
        row = HiddenRow(name=self.name, gop_pictures=GOP_SECONDS * self.frames_per_second)
        encoder = replace(self.encoder, frames_per_second=self.frames_per_second)
        frames = PRICED_SEGMENTS * SEGMENT_SECONDS * self.frames_per_second
        finish = portrait(blurred=False) if self.grain else None
        reel = lazy_reel([self.ground], width=self.size[0], height=self.size[1])

        def make() -> HiddenClip:
            staged = StagedReel(reel(), base=self.ground, inserts=(), repeats=self.repeats, finish=finish)
            return encoded(row, encoder, staged, [], base=self.ground, frames=frames, judged=False)

        return make


PRICED = (
    PricedStream(name="still, 360p", floor=6, encoder=X264_LOW_DELAY, ground="still"),
    PricedStream(name="still, 720p", floor=6, encoder=X264_LOW_DELAY, ground="still", size=LARGE),
    PricedStream(name="film, 720p", floor=3, encoder=X264_LOW_DELAY, ground="bigbuckbunny", size=LARGE),
    PricedStream(name="talking head, 720p", floor=3, encoder=X264_QUALITY, size=LARGE),
    PricedStream(name="10 in 30, 720p", floor=3, encoder=X264_QUALITY, size=LARGE, frames_per_second=30, repeats=3),
    PricedStream(name="talking head, 360p", floor=2, encoder=X264_LOW_DELAY),
    PricedStream(name="talking head, 360p, x265", floor=2, encoder=X265),
    PricedStream(name="talking head, 360p, AV1: all decoded", floor=0.6, encoder=AV1),
    PricedStream(name="talking head, 360p, VP9: all decoded", floor=0.6, encoder=VP9),
    PricedStream(name="portrait with grain, 360p: all decoded", floor=0.6, encoder=X264_QUALITY, grain=True),
    PricedStream(name="montage, 360p", floor=0.9, encoder=X264_QUALITY, ground=MONTAGE),
    PricedStream(name="montage, 360p, low delay", floor=0.9, encoder=X264_LOW_DELAY, ground=MONTAGE),
)
TALKING_HEAD = "talking head, 360p"
"""The stream over which the most expensive ones are measured."""


class _Enlarged(StagedReel):
    """A film made larger, with noise, so that pictures of 8K need no loop of their size; so many times as fast."""

    def __init__(self, reel: Reel, *, base: str, width: int, height: int, speed: int) -> None:
        super().__init__(reel, base=base, inserts=())
        self.width, self.height = width, height
        self._base_film = base
        self._small = reel
        self._speed = speed
        self._noise = np.random.default_rng(11).integers(0, 24, (height, width), np.uint8)

    def picture(self, name: str, index: int) -> I420:  # noqa: ARG002 (there is one film)
        """Picture `index`, whatever the name."""
        large = np.empty((self.height * 3 // 2, self.width), np.uint8)
        small = np.ascontiguousarray(self._small.picture(self._base_film, index * self._speed))
        for target, source in zip(planes(large), planes(small), strict=True):
            rows, columns = target.shape
            target[:] = cv2.resize(source, (columns, rows), interpolation=cv2.INTER_LINEAR)
        luma = planes(large)[0]
        luma[:] = cv2.add(luma, np.roll(self._noise, 97 * index, axis=1))
        return large

    def plain(self, index: int) -> I420:
        """The same."""
        return self.picture("", index)


def extreme_makes() -> dict[str, MakeClip]:
    """The most expensive streams, by name."""
    intra = EncoderSetting(name="x264, all intra", zero_latency=True, parameters="crf=34", preset="ultrafast")
    fast_av1 = replace(AV1, preset="12")
    fast_x265 = replace(X265, parameters="scenecut=0:crf=30", preset="ultrafast")
    entropy = EncoderSetting(name="x264, CRF 2", zero_latency=False, parameters="crf=2", preset="veryfast")
    large = lazy_reel([MONTAGE], width=LARGE[0], height=LARGE[1])
    full = lazy_reel([MONTAGE], width=480, height=270)
    strobe = partial(_strobed, large)
    return {
        "all intra, 240 a second": _staged(intra, MONTAGE, (320, 180), rate=240, gop=1, seconds=4),
        "all intra, segments of 0.5 s": _staged(
            intra, MONTAGE, (320, 180), rate=240, gop=1, seconds=4, segment_seconds=0.5
        ),
        "64×64, 990 a second": _staged(intra, MONTAGE, (64, 64), rate=990, gop=1, seconds=4),
        "8K, all intra": _enlarged(full, intra, (7680, 4320), rate=24, gop=1, seconds=2),
        "1080p at 60, AV1": _enlarged(full, fast_av1, (1920, 1080), rate=60, gop=120, seconds=4),
        "1080p, five times as fast": _enlarged(full, fast_x265, (1920, 1080), rate=30, gop=120, seconds=4, speed=5),
        "360p at 120, CRF 2": _enlarged(full, entropy, (640, 360), rate=120, gop=240, seconds=4),
        "strobe of 30, 720p at 60": partial(strobe, PLAIN[1]),
    }


def _staged(
    encoder: EncoderSetting,
    ground: str,
    size: tuple[int, int],
    *,
    rate: int,
    gop: int,
    seconds: int,
    segment_seconds: float = SEGMENT_SECONDS,
) -> MakeClip:
    reel = lazy_reel([ground], width=size[0], height=size[1])
    make = partial(_make, segment_seconds=segment_seconds)
    return partial(make, lambda: StagedReel(reel(), base=ground, inserts=()), encoder, rate, gop, seconds)


def _enlarged(
    reel: Callable[[], Reel],
    encoder: EncoderSetting,
    size: tuple[int, int],
    *,
    rate: int,
    gop: int,
    seconds: int,
    speed: int = 1,
) -> MakeClip:
    return partial(
        _make,
        lambda: _Enlarged(reel(), base=MONTAGE, width=size[0], height=size[1], speed=speed),
        encoder,
        rate,
        gop,
        seconds,
    )


def _strobed(reel: Callable[[], Reel], encoder: EncoderSetting) -> HiddenClip:
    rate, seconds = 60, SEGMENT_SECONDS
    strobe = Strobe(start=0, stop=rate * seconds, period=2)
    return _make(
        lambda: StagedReel(reel(), base=MONTAGE, inserts=(), strobes=(strobe,)), encoder, rate, rate * seconds, seconds
    )


def _make(
    staged: Callable[[], StagedReel],
    encoder: EncoderSetting,
    rate: int,
    gop: int,
    seconds: int,
    *,
    segment_seconds: float = SEGMENT_SECONDS,
) -> HiddenClip:
    row = HiddenRow(name="extreme", gop_pictures=gop)
    encoder = replace(encoder, frames_per_second=rate)
    frames = rate * seconds
    return encoded(
        row, encoder, staged(), [], base=MONTAGE, frames=frames, judged=False, segment_seconds=segment_seconds
    )
