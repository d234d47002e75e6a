"""Reduction and watermark of pictures: pure, on generated ones."""

import cv2
import numpy as np
import pytest
from evidence_items import picture

from desk.pictures.reduction import POINTS, TONES, WIDTHS, Reduction, reduced
from desk.pictures.watermark import mark_text, watermarked
from desk.preferences.preferences import DETAILS, SIZES, STRENGTHS, Preferences
from worker.evidence.picture import fitted


def detail_of(pixels: np.ndarray) -> float:
    """Share of a picture's contrast that is finer than 1/24 of its width, which faces at a distance are."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    coarse = cv2.resize(cv2.resize(grey, (24, 14), interpolation=cv2.INTER_AREA), grey.shape[::-1])
    return float(np.abs(grey.astype(float) - coarse).mean())


def fine_picture() -> np.ndarray:
    """Noise in squares of 4 pixels: uint8, (720, 1280, 3)."""
    return picture(7, width=1280, height=720) // 2 + np.kron(
        np.random.default_rng(1).integers(0, 128, (180, 320, 3), dtype=np.uint8), np.ones((4, 4, 1), np.uint8)
    )


def test_every_setting_has_a_reduction() -> None:
    """A choice on the page of settings would be an error once a picture opens."""
    assert (set(WIDTHS), len(POINTS), len(TONES)) == (set(SIZES), len(STRENGTHS), len(STRENGTHS))
    plain, settings = Reduction(), Preferences()
    assert (plain.detail, plain.strength, plain.grey, plain.size) == (
        settings.detail,
        settings.strength,
        settings.grey,
        settings.size,
    )
    for detail in DETAILS:
        for grey in (True, False):
            shown = reduced(picture(), Reduction(detail=detail, grey=grey, size="large"))
            assert shown.shape[:2] == (180, 320)
            assert shown.ndim == (2 if grey else 3)


@pytest.mark.parametrize("detail", DETAILS)
def test_more_strength_leaves_less(detail: str) -> None:
    """Somebody who asks for less would be shown more."""
    left = [
        detail_of(reduced(fine_picture(), Reduction(detail="blur", strength=strength, size="large")))
        for strength in (1, 3, 5)
    ]
    assert left == sorted(left, reverse=True)
    strongest = reduced(fine_picture(), Reduction(detail=detail, strength=5, size="large"))
    tones = len(np.unique(strongest))
    assert tones <= {"blur": 256, "pixels": 20 * 12, "posterise": 2}[detail]


def test_a_picture_is_as_large_as_the_person_set_and_never_enlarged() -> None:
    """A small picture would fill the screen of somebody who asked for little."""
    for size, longer in WIDTHS.items():
        assert max(reduced(picture(width=1280, height=720), Reduction(size=size)).shape) == longer
    assert fitted(picture(width=90, height=160), 640).shape == (160, 90, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 1280), (1280, 2), (31, 17)])
def test_odd_pictures_are_drawn(shape: tuple[int, int]) -> None:
    """A stream of an odd size would have pictures that nobody can open."""
    pixels = np.full((*shape, 3), 90, np.uint8)
    for detail in DETAILS:
        assert reduced(pixels, Reduction(detail=detail)).size
    assert watermarked(pixels, "kim").shape == pixels.shape


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_mark_is_seen_on_light_and_dark_and_leaves_the_picture(value: int) -> None:
    """A photograph of a screen would not say whose it was; or the mark would hide what has to be judged."""
    changed = np.abs(watermarked(np.full((540, 960, 3), value, np.uint8), "kim  27 Nov 2026").astype(int) - value)
    assert changed.max() >= 50
    assert (changed.max(axis=2) > 10).mean() < 0.3
    assert all(part.any() for row in np.array_split(changed, 3) for part in np.array_split(row, 3, axis=1))


def test_a_name_that_the_font_may_lack_is_told_by_a_digest() -> None:
    """The marks of two people would be the same row of question marks."""
    assert mark_text("kim", "12:00") == "kim  12:00"
    assert mark_text("漢字", "12:00") != mark_text("字漢", "12:00")
    assert "#" in mark_text("漢字", "12:00")
    assert mark_text("a" * 99 + "b", "")[-11:] != mark_text("a" * 99 + "c", "")[-11:]
