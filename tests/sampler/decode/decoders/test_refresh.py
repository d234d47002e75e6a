"""Recovery points: believed where the pictures bear them out, and else their pictures stay concealed."""

import io
from collections.abc import Callable
from dataclasses import replace

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from kinds import x265
from long_term import NEXT_RECOVERY_POINT, with_long_reference
from media import (
    CLOCK,
    RATE,
    Recipe,
    cut,
    encode,
    encode_pictures,
    level_error,
    number_in,
    photograph,
    remux,
    rewritten,
    side_by_side,
    steady,
    x264,
)
from numpy.typing import NDArray

from config.profiles import BALANCED, PROFILES, SamplingProfile
from sampler.child.decoder import Decoder

ONE_IDR = x264(bframes=0, keyint=10_000, scenecut=0)
REFRESH = {"keyint": 50, "scenecut": 0, "intra_refresh": 1}
HONEST = {
    "plain": x264(bframes=0, **REFRESH),
    "b-frames": x264(bframes=3, **REFRESH),
    "zerolatency": x264(preset="ultrafast", tune="zerolatency", **REFRESH),
    "slow": x264(preset="slow", bframes=0, **REFRESH),
    "slices": x264(slices=3, bframes=0, **REFRESH),
    "odd size": replace(x264(preset="medium", bframes=0, **REFRESH), width=322, height=178),
    "4:4:4, 10 bit": replace(x264(bframes=0, **REFRESH), pixel_format="yuv444p10le"),
}


def with_recovery_points(data: bytes, count: int, at: Callable[[int], bool]) -> bytes:
    """The MPEG-TS of H.264 whose pictures for which `at(index)` claim to be recovery points of `count` pictures (H.264,
    D.1.8), with the parameter sets that a decoder needs to begin there."""
    golomb = f"{count + 1:b}"
    bits = "0" * (len(golomb) - 1) + golomb + "00001"
    payload = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    message = b"\0\0\0\1\x06\x06" + bytes([len(payload)]) + payload + b"\x80"
    file = io.BytesIO()
    with av.open(io.BytesIO(data), format="mpegts") as source, av.open(file, "w", format="mpegts") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            content = bytes(packet)
            if not index:
                sets = content[content.index(b"\0\0\0\1\x67") : content.index(b"\0\0\1\x06")].rstrip(b"\0")
            slices = content.index(b"\0\0\0\1" if content[4] & 31 != 9 else b"\0\0\1", 4)
            told = av.Packet(content[:slices] + sets + message + content[slices:] if at(index) else content)
            told.pts, told.dts, told.time_base, told.stream = packet.pts, packet.dts, packet.time_base, stream
            told.is_keyframe = packet.is_keyframe
            output.mux(told)
    return file.getvalue()


@pytest.mark.parametrize("count", [0, 12])
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_recovery_point_that_lies_leaves_its_pictures_unmoderated(
    decoder: Decoder, count: int, profile: SamplingProfile
) -> None:
    """Grey would count as moderated for as long as a broadcaster likes, while viewers see everything."""
    data = with_recovery_points(encode(ONE_IDR, steady(500)), count, lambda index: index % 25 == 10)
    (part,) = cut(data, [60, 500])
    segment = decoder.sample(part.data, profile=profile, seed=b"refresh")

    assert segment.frames
    assert all(frame.concealed and frame.hashed_only is None for frame in segment.frames)
    assert sum(stretch.seconds for stretch in segment.unmoderated) == pytest.approx(segment.duration_seconds)
    assert {stretch.reason for stretch in segment.unmoderated} == {"concealed"}


def test_no_sample_speaks_for_what_was_concealed_before_a_cut(decoder: Decoder) -> None:
    """An insert that ends with a picture coded anew would be seen by its own concealed pictures alone, and the first
    right one, of the scene after it, would call its time moderated."""
    start, stop = 115, 130
    # With open GOPs the picture that is coded anew is no IDR picture; x264 has them only with B pictures.
    recipe = x264(bframes=1, open_gop=1, keyint=10_000, scenecut=0)
    before, insert, after = (
        photograph(name, recipe.width, recipe.height) for name in ("chelsea", "coffee", "astronaut")
    )
    # Half of it goes on as before, so that the encoder predicts that half whatever it chooses for the other.
    insert[:, recipe.width // 2 :] = before[:, recipe.width // 2 :]

    def shown(index: int) -> NDArray[np.float64]:
        return np.roll(before if index < start else insert if index < stop else after, index // 2, axis=1)

    def kind(index: int) -> PictureType:
        return PictureType.I if index in (0, stop) else PictureType.P

    data = with_recovery_points(encode_pictures(recipe, steady(200), shown, kind=kind), 0, bool)
    (part,) = cut(data, [60, 200])
    segment = decoder.sample(part.data, profile=BALANCED, seed=b"refresh")
    right = [frame.pts_seconds for frame in segment.frames if not frame.concealed]
    begins, ends = (start - 60) / RATE, (stop - 60) / RATE

    assert right
    assert not [seconds for seconds in right if seconds < ends]
    assert [one for one in segment.unmoderated if one.start_seconds <= begins and ends <= one.end_seconds]


@pytest.mark.parametrize("named", [True, False])
def test_a_whole_picture_does_not_speak_for_those_that_lean_on_older_ones(decoder: Decoder, *, named: bool) -> None:
    """Viewers would see what a picture of an earlier segment shows, for as long as a broadcaster likes, and we grey,
    or another picture."""
    second, count = 20, 120
    data = with_long_reference(count, second=second, named=named, claim=NEXT_RECOVERY_POINT)
    (part,) = cut(data, [second, count])
    segment = decoder.sample(part.data, profile=BALANCED, seed=b"refresh")

    assert [frame.pts_seconds for frame in segment.frames if not frame.concealed] == [0.0]
    assert {stretch.reason for stretch in segment.unmoderated} <= {"concealed", "undecodable"}
    assert sum(stretch.seconds for stretch in segment.unmoderated) == pytest.approx(segment.duration_seconds - 1 / RATE)


def test_recovery_points_are_believed_once_the_pictures_bear_them_out(decoder: Decoder) -> None:
    """A broken encoder's stream would stay concealed for ever after one wrong claim."""
    data = with_recovery_points(encode(HONEST["plain"], steady(200)), 0, lambda index: index % 50 == 30)
    (part,) = cut(data, [25, 200])
    segment = decoder.sample(part.data, profile=BALANCED, seed=b"refresh")
    clean = [frame for frame in segment.frames if not frame.concealed]

    assert clean
    for frame in clean:
        assert number_in(frame.picture.luma()) == 25 + round(frame.pts_seconds * RATE)
        assert level_error(frame.picture.luma()) < 4


@pytest.mark.parametrize("first", [10, 51, 73])
@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_intra_refresh_is_joined_at_its_recovery_point(decoder: Decoder, kind: str, first: int) -> None:
    """Streams with intra refresh, which have no keyframes, would never be moderated."""
    recipe: Recipe = HONEST[kind]
    (part,) = cut(encode(recipe, steady(200)), [first, 200])
    segment = decoder.sample(part.data, profile=BALANCED, seed=b"refresh")
    clean = [frame for frame in segment.frames if not frame.concealed]
    columns = -(-recipe.width // 16)

    assert clean[0].pts_seconds * RATE <= 50 + columns + 4
    for frame in clean:
        assert number_in(frame.picture.luma()) == part.numbers[0] + round(frame.pts_seconds * RATE)
        assert level_error(frame.picture.luma()) < 4
    concealed = [stretch for stretch in segment.unmoderated if stretch.reason == "concealed"]
    assert [stretch.end_seconds for stretch in concealed] == [clean[0].pts_seconds]


def test_an_hevc_intra_refresh_is_never_taken_for_right(decoder: Decoder) -> None:
    """FFmpeg does not report what H.265 predicts: what cannot be proven would be believed."""
    recipe = x265(intra_refresh=1, keyint=50, min_keyint=50, bframes=0)
    (part,) = cut(encode(recipe, steady(150)), [20, 150])
    segment = decoder.sample(part.data, profile=BALANCED, seed=b"refresh")

    assert all(frame.concealed for frame in segment.frames)
    assert sum(stretch.seconds for stretch in segment.unmoderated) == pytest.approx(segment.duration_seconds)


def test_delimiters_before_a_keyframe_are_not_decoded(decoder: Decoder) -> None:
    """FFmpeg would decode each crowd once more than is counted: 0.5 MB of them took 1.2 s."""
    crowd, delimiter, crowded = 40_000, b"\x09\x10", 10
    late = remux(encode(ONE_IDR, steady(50)), lambda index, pts: pts + CLOCK if index >= RATE else None)
    late = rewritten(late, lambda index, units: [delimiter] * crowd if index < crowded else units)
    first = encode(replace(ONE_IDR, width=640, height=360), steady(50))

    seen = decoder.sample(side_by_side(first, late), profile=BALANCED, seed=b"refresh")
    alone = decoder.sample(first, profile=BALANCED, seed=b"refresh")

    assert seen.unmoderated
    assert seen.frames_decoded == alone.frames_decoded
