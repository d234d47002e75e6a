"""Pictures of which each eye is to see a part, on televisions and headsets; and those that lie all around a viewer."""

import struct

import cv2
import numpy as np
import pytest
from hostile_media import in_sample_entry
from kinds import x265
from media import Recipe, encode_pictures, in_mp4, photograph, steady, x264
from numpy.typing import NDArray

from config.profiles import BALANCED
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

WIDTH, HEIGHT, PICTURES = 640, 360, 50
CLOSED = {"keyint": 50, "min_keyint": 50, "scenecut": 0, "bframes": 0}
MATCH = 31
"""Bits, of 256, up to which a hash is a listed one's."""
CHECKERBOARD, COLUMNS, ROWS, SIDE_BY_SIDE, TOP_AND_BOTTOM, IN_TURN = range(6)
"""frame_packing_arrangement_type (H.264, table D-8)."""


def of(name: str, width: int, height: int) -> NDArray[np.float64]:
    return cv2.resize(photograph(name, WIDTH, HEIGHT), (width, height), interpolation=cv2.INTER_AREA)


def packed(kind: int) -> NDArray[np.float64]:
    """A photograph for each eye, in one picture."""
    if kind == TOP_AND_BOTTOM:
        return np.vstack([of(name, WIDTH, HEIGHT // 2) for name in ("astronaut", "coffee")])
    if kind == ROWS:
        rows = [of(name, WIDTH, HEIGHT // 2) for name in ("astronaut", "coffee")]
        return np.stack(rows, axis=1).reshape(HEIGHT, WIDTH)
    return np.hstack([of(name, WIDTH // 2, HEIGHT) for name in ("astronaut", "coffee")])


def clip(recipe: Recipe, luma: NDArray[np.float64]) -> bytes:
    sized = Recipe(**vars(recipe) | {"width": WIDTH, "height": HEIGHT})
    return encode_pictures(sized, steady(PICTURES), lambda _index: luma)


def is_matched(segment: SampledSegment, name: str) -> bool:
    """True if a sample is within a match of that photograph."""
    listed = hash_luma(np.rint(photograph(name, WIDTH, HEIGHT)).astype(np.uint8))
    return any(hash_luma(frame.picture.luma()).distance(listed) <= MATCH for frame in segment.frames)


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content


STEREO = {TOP_AND_BOTTOM: 1, SIDE_BY_SIDE: 2}
"""Modes of `st3d` (Spherical Video V2 RFC)."""
AROUND = box(
    b"sv3d",
    box(b"svhd", bytes(5)),
    box(b"proj", box(b"prhd", bytes(16)), box(b"equi", bytes(20))),
)


@pytest.mark.parametrize("kind", [SIDE_BY_SIDE, TOP_AND_BOTTOM, ROWS], ids=["side by side", "above", "row by row"])
def test_what_each_eye_sees_is_matched(decoder: Decoder, kind: int) -> None:
    """Of both together the hash is on no list."""
    data = clip(x264(frame_packing=kind, qp=20, **CLOSED), packed(kind))
    segment = decoder.sample(data, profile=BALANCED, seed=b"eyes")

    assert (segment.notes, segment.unmoderated) == ((), ())
    for name in ("astronaut", "coffee"):
        assert is_matched(segment, name)


@pytest.mark.parametrize("kind", [SIDE_BY_SIDE, TOP_AND_BOTTOM], ids=["side by side", "above"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "gray", "yuv420p10le", "gbrp"])
def test_so_it_is_where_the_container_says_so(decoder: Decoder, pixel_format: str, kind: int) -> None:
    """Video sites read it there."""
    # libx264 has no planes of green, blue and red.
    encoder = x265(qp=20, open_gop=0) if pixel_format == "gbrp" else x264(qp=20, **CLOSED)
    recipe = Recipe(**vars(in_mp4(encoder)) | {"pixel_format": pixel_format})
    data = in_sample_entry(clip(recipe, packed(kind)), box(b"st3d", bytes(4), bytes([STEREO[kind]])))
    segment = decoder.sample(data, profile=BALANCED, seed=b"eyes")

    assert (segment.notes, segment.unmoderated) == ((), ())
    for name in ("astronaut", "coffee"):
        assert is_matched(segment, name)


@pytest.mark.parametrize("kind", [CHECKERBOARD, COLUMNS], ids=["checkerboard", "column by column"])
def test_ways_to_pack_two_pictures_that_are_not_parted_are_in_the_ledger(decoder: Decoder, kind: int) -> None:
    """All would count as moderated by a blend of both."""
    data = clip(x264(frame_packing=kind, **CLOSED), packed(kind))
    segment = decoder.sample(data, profile=BALANCED, seed=b"eyes")

    assert segment.notes == ("cropped",)
    assert [stretch.reason for stretch in segment.unmoderated] == ["cropped"]


def test_pictures_for_one_eye_after_the_other_are_sampled_as_they_are(decoder: Decoder) -> None:
    """Each is a picture of its own."""
    data = clip(x264(frame_packing=IN_TURN, **CLOSED), of("astronaut", WIDTH, HEIGHT))
    segment = decoder.sample(data, profile=BALANCED, seed=b"eyes")

    assert (segment.notes, segment.unmoderated) == ((), ())
    assert len({frame.pts_seconds for frame in segment.frames}) == len(segment.frames)


def test_pictures_all_around_a_viewer_are_noted(decoder: Decoder) -> None:
    """A headset shows a ninth of them at a time, which no sample does."""
    data = in_sample_entry(clip(in_mp4(x264(**CLOSED)), of("astronaut", WIDTH, HEIGHT)), AROUND)
    segment = decoder.sample(data, profile=BALANCED, seed=b"eyes")

    assert (segment.notes, segment.unmoderated) == (("spherical",), ())
