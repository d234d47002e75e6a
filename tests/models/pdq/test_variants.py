"""Hashes of transformed pictures, against transforming the array and hashing it."""

import cProfile
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import PictureError
from models.pdq import reference
from models.pdq.margins import CROPS, hash_crops
from models.pdq.pdq import MIN_QUALITY, PdqHash, hash_luma
from models.pdq.variant_kinds import Variant
from models.pdq.variants import MAX_HASHES, hash_with_variants

Array = npt.NDArray[np.uint8]
ALL = frozenset(Variant)
ROUNDED = 0.02
"""Twice as far from the median as what rounding moves a frequency and the median by (`models.pdq.pdq`)."""


def grey(rgb: Array, width: int, height: int) -> Array:
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def transformed(luma: Array) -> list[Array]:
    """The picture in all eight orientations, as it is, four times mirrored, three times rotated; each its own array."""
    mirrored = (luma[:, ::-1], luma[::-1], luma.T, luma[::-1, ::-1].T)
    return [luma, *map(np.ascontiguousarray, (*mirrored, *(np.rot90(luma, k) for k in (1, 2, 3))))]


def assert_same_but_for_rounding(found: PdqHash, array: Array) -> None:
    """The hash is the array's own, but for frequencies that are the median to within what rounding moves them."""
    plain = hash_luma(array)
    assert abs(found.quality - plain.quality) <= 1
    if plain.quality >= MIN_QUALITY:
        frequencies = np.sort(reference.frequencies(reference.sample(array.astype(np.float32))), axis=None)
        undecided = int((np.abs(frequencies - frequencies[127]) < ROUNDED).sum())
        # One lies at the median itself, and cannot be another bit unless a second one does.
        assert found.distance(plain) <= (undecided if undecided > 1 else 0)


def assert_as_plain(luma: Array) -> None:
    upright, variants = hash_with_variants(luma, {Variant.MIRROR, Variant.ROTATE})
    assert upright == hash_luma(luma)
    found = [*variants[Variant.MIRROR], *variants[Variant.ROTATE]]
    for one, array in zip(found, transformed(luma)[1:], strict=True):
        assert_same_but_for_rounding(one, array)


def point_symmetric(height: int, width: int, seed: int) -> Array:
    """A mosaic that looks the same upside down: half of its frequencies are nothing but rounding."""
    tiles = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16), np.uint8)
    mosaic = cv2.resize(tiles, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    return np.maximum(mosaic, mosaic[::-1, ::-1])


def exact_readings(luma: Array, wanted: frozenset[Variant]) -> int:
    """Slow readings in the reference's order, by which a picture costs thirty times as much."""
    profile = cProfile.Profile()
    profile.runcall(hash_with_variants, luma, wanted)
    exact = reference.sample.__code__
    return sum(entry.callcount for entry in profile.getstats() if entry.code is exact)


@pytest.mark.parametrize("size", [(512, 512), (1280, 720), (360, 640), (65, 63), (64, 64)])
def test_transformed_pictures_hash_as_transformed_arrays(picture: Array, size: tuple[int, int]) -> None:
    """Mirrored or rotated pictures would be missed, or match what they are not."""
    assert_as_plain(grey(picture, *size))


@settings(max_examples=150)
@given(
    rows=st.integers(1, 48),
    columns=st.integers(1, 48),
    levels=st.sampled_from([2, 3, 256]),
    size=st.sampled_from([(512, 512), (320, 240), (97, 130), (64, 64), (5, 200), (200, 5)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_transformed_picture(rows: int, columns: int, levels: int, size: tuple[int, int], seed: int) -> None:
    """Drawings and screens, whose frequencies tie, would hash to something that no list has."""
    tiles = np.random.default_rng(seed).integers(0, levels, (rows, columns)) * (255 // (levels - 1))
    assert_as_plain(cv2.resize(tiles.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(np.uint8))


def test_symmetric_picture(picture: Array) -> None:
    """A picture that equals its mirror image has many frequencies at the median: others would flip with them."""
    half = grey(picture, 256, 512)
    assert_as_plain(np.ascontiguousarray(np.hstack([half, half[:, ::-1]])))


@pytest.mark.parametrize("name", ["camera.png", "astronaut.png", "coffee.png", "text.png"])
def test_photographs_are_exact_in_every_orientation(photograph: Callable[[str], Array], name: str) -> None:
    """Turned photographs would be further from their list than their list allows."""
    luma = grey(photograph(name), 640, 360)
    variants = hash_with_variants(luma, {Variant.MIRROR, Variant.ROTATE})[1]
    expected = [hash_luma(array) for array in transformed(luma)[1:]]
    assert [*variants[Variant.MIRROR], *variants[Variant.ROTATE]] == expected


@pytest.mark.parametrize("wanted", [ALL, frozenset([Variant.CROP]), frozenset()])
def test_a_picture_is_read_exactly_once_at_most(wanted: frozenset[Variant]) -> None:
    """A stream of pictures whose every bit is rounding would cost a worker the time of hundreds of others."""
    luma = point_symmetric(360, 640, 1)
    for level, value in enumerate((0, 255, 0)):
        rows, columns = 18 * level, 32 * level
        luma[rows : 360 - rows, columns : 640 - columns] = value
    luma[54:-54, 96:-96] = point_symmetric(252, 448, 2)
    assert exact_readings(luma, wanted) <= 1


def test_a_large_picture_is_read_for_its_own_hash_alone(photograph: Callable[[str], Array]) -> None:
    """Guesses and borders of a 4K picture would each cost as much as its hash, twenty times over."""
    read: list[int] = []

    class ReadPicture(np.ndarray):  # type: ignore[type-arg]
        """A picture that notes how many of its pixels are made floating point, in order to be hashed."""

        def astype(self, *args: Any, **kwargs: Any) -> Any:
            read.append(self.size)
            return np.asarray(self).astype(*args, **kwargs)

    luma = grey(photograph("camera.png"), 3840, 2160)
    luma[:108] = luma[-108:] = luma[:, :192] = luma[:, -192:] = 0
    hash_luma(luma.view(ReadPicture))
    alone = sum(read)
    read.clear()
    assert len(hash_with_variants(luma.view(ReadPicture), ALL)[1][Variant.CROP]) > CROPS
    assert alone >= luma.size
    assert sum(read) == alone


@pytest.mark.parametrize("size", [(3840, 2160), (2160, 2047), (4099, 2050)])
def test_a_large_picture_is_found_in_every_orientation(
    photograph: Callable[[str], Array], size: tuple[int, int]
) -> None:
    """What large pictures are shrunk to would be further from a list than the list allows."""
    luma = grey(photograph("astronaut.png"), *size)
    upright, variants = hash_with_variants(luma, {Variant.MIRROR, Variant.ROTATE})
    assert upright == hash_luma(luma)
    found = [*variants[Variant.MIRROR], *variants[Variant.ROTATE]]
    for one, array in zip(found, transformed(luma)[1:], strict=True):
        assert one.distance(hash_luma(array)) <= 8


def test_only_requested_variants_are_computed(picture: Array) -> None:
    """Lists without variants would pay for them on every frame, or get matches that they did not ask for."""
    luma = grey(picture, 320, 240)
    assert hash_with_variants(luma, frozenset())[1] == {}
    assert hash_with_variants(luma, frozenset())[0] == hash_luma(luma)
    for variant, count in ((Variant.MIRROR, 4), (Variant.ROTATE, 3)):
        found = hash_with_variants(luma, {variant})
        assert {kind: len(hashes) for kind, hashes in found[1].items()} == {variant: count}
        assert found[0] == hash_luma(luma)
        assert found[1][variant] == hash_with_variants(luma, {Variant.MIRROR, Variant.ROTATE})[1][variant]


def test_a_letterboxed_picture_is_hashed_without_its_bars(picture: Array) -> None:
    """A film in a frame of another shape would match no list, even if it is also mirrored."""
    luma = np.maximum(grey(picture, 640, 272), 70)  # no dark border of its own
    boxed = cv2.copyMakeBorder(luma, 44, 44, 0, 0, cv2.BORDER_CONSTANT, value=0).astype(np.uint8)
    variants = hash_with_variants(boxed, ALL)[1]
    assert_same_but_for_rounding(variants[Variant.CROP][0], luma)
    inner = variants[Variant.MIRROR][4:8] + variants[Variant.ROTATE][3:6]
    for found, array in zip(inner, transformed(luma)[1:], strict=True):
        assert_same_but_for_rounding(found, array)


def test_without_borders_only_crops_are_guessed() -> None:
    """Every frame would be matched many times for nothing."""
    luma = np.random.default_rng(5).integers(40, 256, (240, 320), np.uint8)
    assert hash_with_variants(luma, {Variant.CROP})[1] == {Variant.CROP: tuple(hash_crops(luma))}


@pytest.mark.parametrize("bars", [(40, 70, 0, 0), (20, 40, 30, 70), (40, 0, 60, 0)], ids=["bars", "around", "corner"])
@pytest.mark.parametrize("name", ["astronaut.png", "camera.png", "retina.jpg"])
def test_a_cropped_picture_between_uneven_borders(
    photograph: Callable[[str], Array], name: str, bars: tuple[int, int, int, int]
) -> None:
    """Bars that are not the same at both ends would hide a cropped picture, which even ones do not."""
    whole = grey(photograph(name), 640, 480)
    shown = cv2.copyMakeBorder(whole[12:-12, 16:-16], *bars, cv2.BORDER_CONSTANT, value=0).astype(np.uint8)
    crops = hash_with_variants(shown, {Variant.CROP})[1][Variant.CROP]
    assert min(crop.distance(hash_luma(whole)) for crop in crops) <= 31


def test_a_border_drawn_over_the_picture(photograph: Callable[[str], Array]) -> None:
    """A frame that covers a picture's margins would hide it as well as one around it."""
    luma = grey(photograph("camera.png"), 512, 512)
    framed = np.full_like(luma, 128)
    framed[26:-26, 26:-26] = luma[26:-26, 26:-26]
    variants = hash_with_variants(framed, {Variant.CROP})[1]
    assert min(found.distance(hash_luma(luma)) for found in variants[Variant.CROP]) <= 31


def test_hashes_of_a_frame_are_bounded() -> None:
    """Frames within frames would be compared with every list a hundred times."""
    luma = np.random.default_rng(5).integers(40, 256, (240, 320), np.uint8)
    for level in (0, 255) * 9:
        luma = cv2.copyMakeBorder(luma, 9, 9, 9, 9, cv2.BORDER_CONSTANT, value=level).astype(np.uint8)
    assert sum(map(len, hash_with_variants(luma, ALL)[1].values())) <= MAX_HASHES


def test_floating_point_luma(picture: Array) -> None:
    """The two number formats of a picture would have different hashes."""
    luma = grey(picture, 320, 240)
    assert hash_with_variants(luma, ALL)[1] == hash_with_variants(luma.astype(np.float32), ALL)[1]


@pytest.mark.parametrize("wanted", [ALL, frozenset([Variant.CROP]), frozenset()])
def test_an_invalid_luma_is_refused(wanted: frozenset[Variant]) -> None:
    """A picture of 1×1 from a hostile stream would end the worker."""
    for array in (np.zeros((4, 100), np.uint8), np.zeros((64, 64, 3), np.uint8), np.zeros((0, 0), np.uint8)):
        with pytest.raises(PictureError):
            hash_with_variants(array, wanted)
