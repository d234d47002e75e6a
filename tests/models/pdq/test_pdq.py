"""PDQ against the reference: our hashes match those of other implementations."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import HashFormatError, PictureError
from models.pdq import reference
from models.pdq.pdq import MIN_QUALITY, PdqHash, hash_luma, hash_rgb

PictureArray = npt.NDArray[np.uint8]
Oracle = Callable[[PictureArray], PdqHash]

SCALINGS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_NEAREST)


def assert_as_reference(rgb: PictureArray, oracle: Oracle) -> None:
    ours, reference = hash_rgb(rgb), oracle(rgb)
    assert ours.quality == reference.quality
    if reference.quality >= MIN_QUALITY:
        assert ours.hex == reference.hex


@st.composite
def made_pictures(draw: st.DrawFn) -> PictureArray:
    """Mosaics of few or many grey levels and colours: rounding decides at even steps between tiles."""
    rows, columns = draw(st.integers(1, 48)), draw(st.integers(1, 48))
    levels = draw(st.sampled_from([2, 3, 6, 256]))
    channels = draw(st.sampled_from([1, 3]))
    size = draw(st.sampled_from([(512, 512), (320, 240), (97, 130), (64, 64), (5, 200)]))
    scaling = draw(st.sampled_from(SCALINGS))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tiles = random.integers(0, levels, (rows, columns, channels)) * (255 // (levels - 1))
    colored = np.repeat(tiles.astype(np.uint8), 3 // channels, axis=2)
    return cv2.resize(colored, size, interpolation=scaling).astype(np.uint8)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_512_pictures_hash_as_the_reference(picture: PictureArray, scaling: int, pdq_oracle: Oracle) -> None:
    """Foreign lists would miss known material."""
    square = cv2.resize(picture, (512, 512), interpolation=scaling).astype(np.uint8)
    assert_as_reference(square, pdq_oracle)
    assert_as_reference(np.ascontiguousarray(square[:, ::-1]), pdq_oracle)


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (360, 640), (65, 63)])
def test_native_sizes_hash_as_the_reference(picture: PictureArray, size: tuple[int, int], pdq_oracle: Oracle) -> None:
    """Video frames, which are not square, would be hashed less accurately than pictures."""
    assert_as_reference(cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8), pdq_oracle)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rgb=made_pictures())
def test_any_picture_hashes_as_the_reference(rgb: PictureArray, pdq_oracle: Oracle) -> None:
    """Drawings and screens, whose frequencies tie, would be missed though photographs are matched."""
    assert_as_reference(rgb, pdq_oracle)


def test_ties_are_broken_in_the_references_order(pdq_oracle: Oracle) -> None:
    """A symmetric picture has many frequencies at the median: sums rounded in another order would flip its bits."""
    tiles = np.kron(np.indices((16, 16)).sum(axis=0) % 2, np.ones((32, 32))) * 255
    rgb = np.repeat(tiles.astype(np.uint8)[:, :, None], 3, axis=2)
    assert hash_rgb(rgb) == pdq_oracle(rgb)


def test_referee_agrees_with_the_reference_on_every_bit(picture: PictureArray, pdq_oracle: Oracle) -> None:
    """The exact computation for close calls, which is rarely needed, would itself be wrong."""
    rgb = cv2.resize(picture, (320, 200), interpolation=cv2.INTER_AREA).astype(np.uint8)
    frequencies = reference.frequencies(reference.sample(reference.luma_of(rgb)))
    median = np.sort(frequencies, axis=None)[127]
    assert np.packbits(frequencies.ravel()[::-1] > median).tobytes() == pdq_oracle(rgb).bits


def test_luma_hashes_as_the_grey_picture(picture: PictureArray) -> None:
    """Decoded video comes as luma; its hash would differ from that of the same picture in RGB."""
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8)
    grey = np.repeat(luma[:, :, None], 3, axis=2)
    assert hash_luma(luma) == hash_luma(luma.astype(np.float32)) == hash_rgb(grey)


def test_a_view_hashes_as_its_copy() -> None:
    """Planes of a decoded frame are padded views: a stride taken for a width would give a meaningless hash."""
    padded = np.random.default_rng(7).integers(0, 256, (300, 512), np.uint8)
    padded = cv2.GaussianBlur(padded, (0, 0), 9).astype(np.uint8)
    assert hash_luma(padded[:, :400]) == hash_luma(padded[:, :400].copy())


def test_flat_pictures_are_not_hashable() -> None:
    """A black screen would count as a picture that is in no list."""
    black = hash_luma(np.zeros((360, 640), np.uint8))
    assert black.quality == 0
    assert not black.hashable


@pytest.mark.parametrize("quality", [0, 49, 50, 100])
def test_hashable_from_quality_50(quality: int) -> None:
    """The bound is the standard's: a higher one would drop pictures that others match."""
    assert PdqHash(bits=bytes(32), quality=quality).hashable == (quality >= 50)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 100), np.uint8),
        np.zeros((100, 4), np.uint8),
        np.zeros((0, 0), np.uint8),
        np.zeros((64, 64), np.float64),
        np.zeros((64, 64, 3), np.uint8),
    ],
)
def test_an_invalid_luma_is_refused(array: npt.NDArray[np.generic]) -> None:
    """A picture of 1×1 from a hostile stream would end the worker."""
    with pytest.raises(PictureError, match=str(array.shape[0])):
        hash_luma(array)


@pytest.mark.parametrize("shape", [(4, 4, 3), (64, 64), (64, 64, 4)])
def test_an_invalid_rgb_is_refused(shape: tuple[int, ...]) -> None:
    """RGBA or a single plane taken for RGB would give another hash."""
    with pytest.raises(PictureError):
        hash_rgb(np.zeros(shape, np.uint8))


@given(bits=st.binary(min_size=32, max_size=32), other=st.binary(min_size=32, max_size=32))
def test_hex_and_distance(bits: bytes, other: bytes) -> None:
    """A printed hash would be read as another, or its distances be wrong."""
    one, two = PdqHash(bits=bits, quality=80), PdqHash(bits=other, quality=80)
    assert bytes.fromhex(one.hex) == bits
    expected = np.unpackbits(np.frombuffer(bits, np.uint8)) != np.unpackbits(np.frombuffer(other, np.uint8))
    assert one.distance(two) == two.distance(one) == expected.sum()


def test_a_hash_of_the_wrong_shape_cannot_be_made() -> None:
    """A value other than 32 bytes and a quality of 0 to 100 could exist."""
    with pytest.raises(HashFormatError, match="32"):
        PdqHash(bits=bytes(31), quality=80)
    with pytest.raises(HashFormatError, match="0 to 100"):
        PdqHash(bits=bytes(32), quality=101)
