"""Pictures that say no other leans on them, and that change what others show all the same."""

import io
from collections.abc import Callable

import av
import numpy as np
import pytest
from fields import BitWriter
from media import encode_pictures, in_mp4, photograph, steady, x264
from mp4_packets import repacked
from numpy.typing import NDArray
from skipped_slices import Header, parameter_sets, unit
from skipped_slices import Sequence as Widths

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

PICTURES = 100
NOISE = np.random.default_rng(0).normal(0, 1, (PICTURES, 108, 192))
RECIPE = in_mp4(
    x264(
        keyint=1000,
        min_keyint=1000,
        scenecut=0,
        bframes=1,
        b_adapt=0,
        b_pyramid="none",
        ref=8,
        weightp=0,
        weightb=0,
        preset="fast",
        subme=6,
    )
)
FIRST, SECOND = (photograph(name, RECIPE.width, RECIPE.height) for name in ("astronaut", "coffee"))
NEAR, FAR = 4.0, 16.0
"""Mean differences of pictures that look alike (<), and of others (>)."""
CHANGED = (25, 26, 27)
"""Packets, of which one or two are of pictures that say so."""
NOTHING = b"\x05\xb8\x40\xff"
"""A slice of an IDR picture, of which no other leans on it, without blocks: decoders forget all references."""
LOST = (27, 28)
"""Packets of a reference, and of a picture that is none after it."""
AFTER_SECONDS = 1.2


def clip() -> bytes:
    """Two scenes in turn: each picture leans on one long before it."""

    def luma(index: int) -> NDArray[np.float64]:
        return np.clip((FIRST if index // 2 % 2 else SECOND) + NOISE[index] * (index % 7), 0, 255)

    return encode_pictures(RECIPE, steady(PICTURES), luma)


def jumping(coded: bytes, widths: Widths) -> bytes:
    """A slice with another frame_num, as after nine pictures that are missing."""
    header = Header(coded)
    header.ue(3)
    start = header.position
    number = (header.u(widths.number_bits) + 9) % (1 << widths.number_bits)
    writer = BitWriter()
    bits = header.bits[:start] + f"{number:0{widths.number_bits}b}" + header.bits[header.position :]
    writer.put(int(bits, 2), len(bits))
    return unit(writer, coded[0])


CHANGES: dict[str, Callable[[bytes, Widths], list[bytes]]] = {
    "another number": lambda coded, widths: [jumping(coded, widths)],
    "an instant one in front": lambda coded, _: [NOTHING, coded],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_comes_after_such_a_picture_is_sampled_as_it_is_shown(
    decoder: Decoder, change: Callable[[bytes, Widths], list[bytes]]
) -> None:
    """Samples would show a scene that no viewer sees, without a word."""
    widths = Widths(parameter_sets(clip())[0])

    def changed(index: int, coded: list[bytes]) -> list[bytes]:
        is_leaf = index in CHANGED and not coded[-1][0] & 0x60
        return [*coded[:-1], *change(coded[-1], widths)] if is_leaf else coded

    assert_sampled_as_shown(decoder, changed)


def test_so_is_what_comes_after_pictures_that_are_lost(decoder: Decoder) -> None:
    """Decoders make up lost frames as counted from the picture before, be it one that no other leans on."""
    assert_sampled_as_shown(decoder, lambda index, coded: [] if index in LOST else coded)


def assert_sampled_as_shown(decoder: Decoder, change: Callable[[int, list[bytes]], list[bytes]]) -> None:
    """Asserts that the clip with its pictures changed looks otherwise, and that all samples show it so."""
    data = clip()
    changed = repacked(data, change)
    shown, plain = pictures(changed), pictures(data)
    assert any(np.abs(shown[time] - plain[time]).mean() > FAR for time in shown)

    segment = decoder.sample(changed, profile=BALANCED, seed=b"left out")
    sampled = [frame for frame in segment.frames if not frame.concealed]
    assert sampled[-1].pts_seconds > AFTER_SECONDS or segment.unmoderated
    for frame in sampled:
        luma = shown[round(frame.pts_seconds, 2)]
        assert np.abs(frame.picture.luma() - luma).mean() < NEAR


def pictures(data: bytes) -> dict[float, NDArray[np.float64]]:
    """Luma of all that a player shows, by time from the first one."""
    with av.open(io.BytesIO(data)) as source:
        frames = [(frame.time or 0.0, frame.to_ndarray(format="gray")) for frame in source.decode(video=0)]
    return {round(seconds - frames[0][0], 2): luma.astype(np.float64) for seconds, luma in frames}
