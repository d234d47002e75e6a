"""VP9 of 10 and 12 bits: PyAV has no encoder of it, and of its two decoders one knows 8 bits alone."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import NoReturn

import numpy as np
import pytest
from hidden_behind import PICTURES, assert_unmoderated, behind, shows
from kinds import VP9
from media import RATE, encode_pictures, photograph, steady
from mp4_packets import Coded, coded_in, mp4_of, superframe

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

START, STOP = 20, 30
SEEDS = 12
RICH = BALANCED.model_copy(update={"macroblocks_per_second": 10**8})
LAYOUTS = ["yuv420p10le", "yuv420p12le", "yuv422p10le", "yuv444p12le"]
"""Profiles 2, 2, 3, 3."""
HIDDEN = "-deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16"
PLAIN = "-deadline realtime -cpu-used 8"


@pytest.fixture(autouse=True)
def ffmpeg(ci_or_skip: Callable[[str], NoReturn]) -> None:
    if shutil.which("ffmpeg") is None:
        ci_or_skip("nothing but the ffmpeg program encodes VP9 of 10 bits here")


def encoded(pictures: bytes, layout: str, options: str) -> bytes:
    """A clip of pictures in grey, in fragments of an MP4."""
    command = f"ffmpeg -loglevel error -f rawvideo -pix_fmt gray -s {VP9.width}x{VP9.height} -r {RATE} -i -"
    command += f" -c:v libvpx-vp9 -threads 1 -pix_fmt {layout} {options}"
    command += " -movflags frag_keyframe+empty_moov+default_base_moof -f mp4 -"
    return subprocess.run(command.split(), input=pictures, capture_output=True, check=True).stdout


@cache
def still(name: str, layout: str, options: str = PLAIN, *, gop: int = 1) -> bytes:
    """A clip of one photograph."""
    picture = photograph(name, VP9.width, VP9.height).astype(np.uint8).tobytes()
    return encoded(picture * PICTURES, layout, f"{options} -g {gop}")


@pytest.mark.parametrize("options", [PLAIN, HIDDEN], ids=["plain", "hidden pictures"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_honest_stream_is_seen_by_every_draw(decoder: Decoder, layout: str, options: str) -> None:
    """Half of a broadcast in HDR would be called damaged."""
    data = still("astronaut", layout, options, gop=PICTURES // 2)
    for seed in range(SEEDS):
        segment = decoder.sample(data, profile=BALANCED, seed=bytes([seed]))
        assert (segment.notes, segment.unmoderated) == ((), ())
        assert segment.frames
        assert all(shows(frame, "astronaut") for frame in segment.frames)


def test_pictures_of_many_bytes_may_take_their_time(decoder: Decoder) -> None:
    """A broadcaster of high quality would lose all segments of which the second decoder has a part."""
    noise = np.random.default_rng(7).integers(20, 230, PICTURES * VP9.width * VP9.height, np.uint8)
    data = encoded(noise.tobytes(), "yuv444p12le", f"{PLAIN} -lossless 1")
    for seed in range(SEEDS // 2):
        segment = decoder.sample(data, profile=RICH, seed=bytes([seed]))
        assert (segment.notes, segment.unmoderated) == ((), ())


@pytest.mark.parametrize("layout", [LAYOUTS[0], LAYOUTS[-1]])
def test_a_picture_behind_another_is_not_called_seen(decoder: Decoder, layout: str) -> None:
    """Chromium shows the second one, and all samples were of the first."""
    data = behind(still("astronaut", layout), still("coffee", layout), start=START, stop=STOP)
    segment = decoder.sample(data, profile=BALANCED, seed=b"second")

    assert_unmoderated(segment)
    assert any(shows(frame, "coffee") for frame in segment.frames)
    assert any(shows(frame, "astronaut") for frame in segment.frames)


def test_a_keyframe_of_more_bits_behind_one_of_eight_is_not_called_seen(decoder: Decoder) -> None:
    """A broadcaster would hide what is shown in a profile that one decoder lacks."""
    photo = photograph("astronaut", VP9.width, VP9.height)
    intra = replace(VP9, options=VP9.options | {"g": "1"})
    first = encode_pictures(intra, steady(PICTURES), lambda _index: photo)
    segment = decoder.sample(behind(first, still("coffee", LAYOUTS[0])), profile=BALANCED, seed=b"second")

    assert_unmoderated(segment)
    assert any(shows(frame, "coffee") for frame in segment.frames)


def test_two_pictures_of_one_packet_are_not_called_seen(decoder: Decoder) -> None:
    """Players show the first or the last."""
    first, second = still("astronaut", LAYOUTS[0]), still("coffee", LAYOUTS[0])
    pairs = zip(coded_in(first), coded_in(second), strict=True)
    data = mp4_of([Coded(superframe(one.data, other.data), True) for one, other in pairs], first)
    segment = decoder.sample(data, profile=BALANCED, seed=b"second")

    assert_unmoderated(segment)
    for name in ("astronaut", "coffee"):
        assert any(shows(frame, name) for frame in segment.frames)
