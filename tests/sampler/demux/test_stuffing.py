"""Streams of constant rate whose encoder stuffs them with bytes that no picture has."""

from dataclasses import replace

import numpy as np
import pytest
from kinds import AV1, MPEG2, x265
from media import RATE, Recipe, encode, encode_pictures, painted, rewritten, steady, x264
from mp4_packets import Coded, coded_in, mp4_of

from config.profiles import BALANCED, ECONOMY, VIGILANT, SamplingProfile
from sampler.child.decoder import Decoder

SECONDS, GOP = 4, 100
RATE_KBITS = 20_000
CONSTANT = {"b": f"{RATE_KBITS}k", "minrate": f"{RATE_KBITS}k", "maxrate": f"{RATE_KBITS}k", "bufsize": "4000k"}
PICTURE_BYTES = RATE_KBITS * 125 // RATE
HEVC_FILLER = b"\x4c\x01"
METADATA, PADDING = b"\x2a", b"\x7a"
"""Headers of OBUs that tell their size (AV1 specification, 5.3.2 and 6.2.2)."""


def of_constant_rate(recipe: Recipe) -> bytes:
    """A clip of `RATE_KBITS`, whose pictures need a small part of that."""
    return encode(recipe, steady(SECONDS * RATE))


def filled_hevc() -> bytes:
    """H.265 with a unit of filler behind each picture: x265 crashes where it writes them at this size."""
    data = encode(x265(keyint=GOP, min_keyint=GOP), steady(SECONDS * RATE))
    return rewritten(data, lambda _index, units: [*units, HEVC_FILLER + b"\xff" * PICTURE_BYTES + b"\x80"])


def padded_av1() -> bytes:
    """AV1 with an OBU of padding behind each picture. FFmpeg's muxer leaves them out, so it is given metadata."""
    data = encode(replace(AV1, options=AV1.options | {"g": str(GOP)}), steady(SECONDS * RATE))
    size = PICTURE_BYTES
    behind = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + b"\xaa" * (size - 1) + b"\x80"
    packets = [Coded(one.data + METADATA + behind, one.keyframe) for one in coded_in(data)]
    return mp4_of(packets, data).replace(METADATA + behind, PADDING + behind)


NAL_RATE = {"bitrate": RATE_KBITS, "vbv_maxrate": RATE_KBITS, "vbv_bufsize": RATE_KBITS}
STUFFED = {
    "H.264": lambda: of_constant_rate(x264(nal_hrd="cbr", qpmin=20, keyint=GOP, **NAL_RATE)),
    "H.265": filled_hevc,
    "MPEG-2": lambda: of_constant_rate(replace(MPEG2, options=MPEG2.options | CONSTANT)),
    "MPEG-4": lambda: of_constant_rate(Recipe(codec="mpeg4", options={"g": str(GOP), "qmin": "2"} | CONSTANT)),
    "AV1": padded_av1,
}


@pytest.mark.parametrize("profile", [ECONOMY, BALANCED, VIGILANT], ids=lambda profile: profile.name)
@pytest.mark.parametrize("name", STUFFED)
def test_stuffing_takes_nothing_of_the_budget(decoder: Decoder, name: str, profile: SamplingProfile) -> None:
    """Half of a broadcast of constant rate would not be moderated, though its pictures cost little."""
    data = STUFFED[name]()
    segment = decoder.sample(data, profile=profile, seed=b"stuffed")

    assert len(data) > 0.8 * SECONDS * RATE * PICTURE_BYTES
    assert segment.unmoderated == ()
    assert segment.duration_seconds == pytest.approx(SECONDS, abs=0.1)


STUFFING, END = b"\0\0\1\xc3" + b"\xff" * 500, b"\0\0\1\xb1"


@pytest.mark.parametrize("behind", [STUFFING, END, STUFFING + END], ids=["stuffing", "end", "both"])
@pytest.mark.parametrize("place", [0, GOP // 2, GOP], ids=["first", "inside", "last"])
def test_stuffing_and_an_end_alone_are_no_damaged_picture(decoder: Decoder, behind: bytes, place: int) -> None:
    """FFmpeg parts a stream before what follows its last picture: each honest segment would be reported as damaged."""
    data = encode(Recipe(codec="mpeg4", options={"g": str(GOP)}), steady(GOP))
    packets = coded_in(data)
    packets[place:place] = [Coded(behind, keyframe=False)]
    segment = decoder.sample(mp4_of(packets, data), profile=BALANCED, seed=b"stuffed")

    assert segment.notes == ()
    assert segment.frames_total == GOP
    assert segment.unmoderated == ()


def test_the_last_stuffing_of_a_transport_stream_is_no_picture(decoder: Decoder) -> None:
    """It would count as one, and each segment of constant rate as damaged."""
    segment = decoder.sample(STUFFED["MPEG-4"](), profile=BALANCED, seed=b"stuffed")

    assert segment.notes == ()
    assert segment.frames_total == SECONDS * RATE


def test_a_sample_without_a_picture_that_is_neither_is_damage(decoder: Decoder) -> None:
    """Whatever decoders refuse could be passed over by a few bytes of stuffing in front of it."""
    data = encode(Recipe(codec="mpeg4", options={"g": str(GOP)}), steady(GOP))
    packets = [*coded_in(data), Coded(STUFFING + b"\0\0\1\xb2words", keyframe=False)]

    assert decoder.sample(mp4_of(packets, data), profile=BALANCED, seed=b"stuffed").notes == ("damaged",)


def test_a_broadcast_in_mpeg2_is_sampled_at_the_rates_of_television(decoder: Decoder) -> None:
    """A picture of it costs less than H.264's, and so do its bytes: half of each segment would not be moderated."""
    chance = np.random.default_rng(3)
    recipe = replace(MPEG2, width=1280, height=720, options={"g": "12", "bf": "2", "b": "8M"})
    grain = [chance.normal(0, 6, (recipe.height, recipe.width)) for _ in range(4)]
    data = encode_pictures(
        recipe, steady(2 * RATE), lambda index: np.clip(painted(recipe, index, 0) + grain[index % 4], 0, 255)
    )
    segment = decoder.sample(data, profile=BALANCED, seed=b"stuffed")

    assert len(data) > 2 * 9e6 / 8
    assert segment.unmoderated == ()
