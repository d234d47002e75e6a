"""Ordinary material of 720p and 1080p without cuts, at the rates of live streams: nothing of it may be left out."""

from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

from bench.clips import EncoderSetting
from bench.hidden_clips import HiddenClip, MakeClip, encoded
from bench.hidden_rows import HiddenRow
from bench.material import Reel
from bench.staging import StagedReel

FILMS = ("carphone_pristine", "handheld", "game", "dark webcam")
SECONDS, GOP_SECONDS = 12, 2


class _Size(NamedTuple):
    """A size with the bit rates that platforms ask for or encoders of phones take."""

    name: str
    width: int
    height: int
    frames_per_second: int
    kbits: int


SIZES = (
    _Size("720p at 30", 1280, 720, 30, 4_000),
    _Size("720p at 60", 1280, 720, 60, 6_000),
    _Size("1080p at 30", 1920, 1080, 30, 6_000),
)


def large_makes() -> dict[HiddenRow, list[MakeClip]]:
    """For each film and size a clip of each encoder."""
    makes: dict[HiddenRow, list[MakeClip]] = {}
    for size in SIZES:
        for film in FILMS:
            row = HiddenRow(
                name=f"{film}, {size.name}",
                encoders=tuple(_encoders(size)),
                frames_per_second=size.frames_per_second,
                gop_pictures=GOP_SECONDS * size.frames_per_second,
                grounds=(film,),
            )
            makes[row] = [partial(_make, row, size, encoder) for encoder in row.encoders]
    return makes


def _encoders(size: _Size) -> list[EncoderSetting]:
    rate = f"bitrate={size.kbits}:vbv-maxrate={size.kbits}:vbv-bufsize={size.kbits}"
    x264 = EncoderSetting(
        name="x264", zero_latency=False, parameters=f"{rate}:bframes=2", frames_per_second=size.frames_per_second
    )
    return [
        replace(x264, preset="superfast"),
        replace(x264, name="x264, low delay", zero_latency=True, parameters=rate, preset="superfast"),
        replace(x264, name="x265", parameters="crf=28:bframes=3", codec="libx265", preset="ultrafast"),
    ]


def _make(row: HiddenRow, size: _Size, encoder: EncoderSetting) -> HiddenClip:
    base = row.grounds[0]
    staged = StagedReel(_reel(base, size.width, size.height), base=base, inserts=())
    frames = SECONDS * size.frames_per_second
    return encoded(row, encoder, staged, [], base=base, frames=frames)


@lru_cache(maxsize=1)
def _reel(film: str, width: int, height: int) -> Reel:
    return Reel([film], width=width, height=height)
