"""The test card: a drill that does not arrive would teach operators to distrust their alarms."""

import io

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.bank.index import MAX_DISTANCE
from models.errors import PictureError
from models.pdq.pdq import PdqHash, hash_luma, hash_rgb
from models.testcard import TESTCARD_HASHES
from models.testcard import testcard as draw_card

PictureArray = npt.NDArray[np.uint8]

WELL_WITHIN = MAX_DISTANCE - 10
ENTRIES = [PdqHash(bits=bytes.fromhex(text), quality=100) for text in TESTCARD_HASHES.values()]
KILOBITS_BY_HEIGHT = {240: 150, 360: 200, 720: 700, 1080: 1500}
"""Low for live H.264: the lowest rendition of common ladders, and a third of what the others have."""


def distance_to_list(pdq: PdqHash) -> int:
    return min(pdq.distance(entry) for entry in ENTRIES)


def encode_and_decode(pictures: list[PictureArray], kilobits_a_second: int) -> list[PictureArray]:
    """The luma planes of `pictures` after H.264 at 25 a second."""
    height, width = pictures[0].shape[:2]
    encoded = io.BytesIO()
    with av.open(encoded, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = kilobits_a_second * 1000
        bound = f"{kilobits_a_second}k"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "maxrate": bound, "bufsize": bound}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    encoded.seek(0)
    with av.open(encoded) as container:
        return [frame.to_ndarray()[:height, :width].astype(np.uint8) for frame in container.decode(video=0)]


@pytest.mark.parametrize("aspect", [16 / 9, 4 / 3, 9 / 16])
@pytest.mark.parametrize("height", KILOBITS_BY_HEIGHT)
def test_it_matches_in_low_bit_rate_video(height: int, aspect: float) -> None:
    """The card cut into a stream would be missed at its first picture, or at a usual size."""
    width = round(height * aspect / 2) * 2
    moving = np.random.default_rng(1).integers(0, 256, (9, 16, 3), np.uint8)
    before = [cv2.resize(np.roll(moving, step, axis=1), (width, height)).astype(np.uint8) for step in range(3)]
    decoded = encode_and_decode([*before, *[draw_card(width, height)] * 4], KILOBITS_BY_HEIGHT[height])
    hashes = [hash_luma(luma) for luma in decoded[len(before) :]]
    assert [pdq.quality for pdq in hashes] == [100] * 4
    assert max(distance_to_list(pdq) for pdq in hashes) <= WELL_WITHIN


@pytest.mark.parametrize(
    "size", [(1280, 720), (1920, 1080), (426, 240), (640, 480), (720, 1280), (512, 512), (1000, 400)]
)
def test_it_matches_at_any_drawn_size(size: tuple[int, int]) -> None:
    """A size chosen in `livewarden testcard` would not raise the drill."""
    card = draw_card(*size)
    assert card.shape == (size[1], size[0], 3)
    assert card.dtype == np.uint8
    pdq = hash_rgb(card)
    assert pdq.quality == 100
    assert distance_to_list(pdq) <= WELL_WITHIN


@pytest.mark.parametrize("size", [(200, 113), (512, 512), (1600, 1200)])
def test_it_matches_after_scaling(size: tuple[int, int]) -> None:
    """Players and transcoders scale: the card would be missed after that."""
    scaled = cv2.resize(draw_card(1280, 720), size, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    assert distance_to_list(hash_rgb(scaled)) <= WELL_WITHIN


def test_its_entries_are_near_each_other() -> None:
    """A mistyped entry would go unnoticed."""
    assert max(one.distance(other) for one in ENTRIES for other in ENTRIES) <= WELL_WITHIN


def test_pictures_are_far_from_it(picture: PictureArray) -> None:
    """An ordinary picture would raise the drill's alarm."""
    assert distance_to_list(hash_rgb(picture)) > 60


def test_color_bars_and_flat_pictures_are_far_from_it() -> None:
    """Broadcasters show colour bars and black for hours, which would raise the drill's alarm."""
    bars = np.array([[235, 235, 16, 16, 235, 235, 16, 16], [235, 235, 235, 235, 16, 16, 16, 16]], np.uint8)
    bars = np.dstack([bars[0], bars[1], np.array([235, 16] * 4, np.uint8)])
    for picture in (np.repeat(np.repeat(bars, 480, axis=0), 80, axis=1), np.full((480, 640, 3), 128, np.uint8)):
        assert distance_to_list(hash_rgb(np.ascontiguousarray(picture))) > 60


@pytest.mark.parametrize("size", [(4, 100), (100, 4), (100_000, 100)])
def test_invalid_sizes_are_refused(size: tuple[int, int]) -> None:
    """A typo would use up the machine's memory."""
    with pytest.raises(PictureError, match=f"{size[0]}×{size[1]}"):
        draw_card(*size)
