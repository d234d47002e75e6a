"""The picture sheet of a scan: nobody is exposed to more than they need to see."""

from io import BytesIO

import cv2
import numpy as np
import pytest
from clips import HEIGHT, WIDTH, Rgb, photo
from PIL import Image

from config.facts import Hit, ListMatch, Severity
from models.pdq.pdq import hash_luma
from sampler.frames import SampleReason
from sampler.picture import Picture
from worker.moderation.verdict import SampleVerdict
from worker.scan.contact_sheet import COLUMNS, MAX_CELLS, THUMB_HEIGHT, THUMB_WIDTH, ContactSheet, blurred


def picture(rgb: Rgb) -> Picture:
    return Picture(planes=(rgb,), full_range=True, matrix="bt601")


def sample(pts_seconds: float, *, hit: bool = False) -> SampleVerdict:
    hits = (
        Hit(
            rule="r",
            severity=Severity.HIGH,
            capture_ms=0,
            pts_seconds=pts_seconds,
            reason="keyframe",
            principles=(5,),
        ),
    )
    return SampleVerdict(
        pts_seconds=pts_seconds,
        capture_ms=0,
        reason=SampleReason.KEYFRAME,
        keyframe=True,
        width=WIDTH,
        height=HEIGHT,
        pdq="0" * 64,
        pdq_quality=100,
        matches=(ListMatch(list="known", entry="<b>x</b>" * 20, distance=3),) if hit else (),
        scores={"model/label": 0.5},
        deduplicated=False,
        concealed=False,
        classified=True,
        flat=None,
        frozen=False,
        hits=hits if hit else (),
    )


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_blurring_removes_what_a_hash_could_still_recognise(name: str) -> None:
    """A sheet that is left lying about, or mailed, would contain the pictures themselves."""
    luma = np.asarray(cv2.cvtColor(photo(name), cv2.COLOR_RGB2GRAY), np.uint8)
    small = blurred(luma)
    assert max(small.shape) <= 14
    enlarged = np.asarray(cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)
    assert hash_luma(enlarged).distance(hash_luma(luma)) > 31


def test_the_sheet_is_grey_even_if_it_was_collected_in_colour() -> None:
    """Withdrawing `--clear` after the scan would still write the findings in colour."""
    sheet = ContactSheet(clear=True)
    sheet.add(picture(photo("coffee")), sample(0))
    grey = pixels(sheet.png("title", clear=False))[60:150, 30:220].astype(int)
    assert (grey.max(axis=2) == grey.min(axis=2)).all()
    clear = pixels(sheet.png("title", clear=True))[60:150, 30:220].astype(int)
    assert (clear.max(axis=2) - clear.min(axis=2)).max() > 50


def test_each_sample_is_on_the_sheet() -> None:
    """A user would look for a time that is not on the sheet."""
    sheet = ContactSheet()
    for second in range(COLUMNS + 1):
        sheet.add(picture(photo("coffee")), sample(second))
    height, width, _ = pixels(sheet.png("title", clear=False)).shape
    assert width >= COLUMNS * THUMB_WIDTH
    assert height >= 2 * THUMB_HEIGHT


def test_hits_are_kept_when_there_are_too_many_samples() -> None:
    """The sheet of a long film might lack just the findings."""
    sheet = ContactSheet()
    for index in range(MAX_CELLS + 200):
        sheet.add(picture(photo("coffee", 64, 36)), sample(index, hit=index == MAX_CELLS + 100))
    drawn = pixels(sheet.png("title", clear=False))
    alarm = (drawn == (0xC1, 0x12, 0x1F)).all(axis=2)
    assert alarm.any()
    assert drawn.shape[0] < 20_000


def test_pictures_of_any_shape_fit() -> None:
    """An upright stream from a phone, or a picture of a single line, would break the sheet."""
    sheet = ContactSheet()
    for width, height in ((360, 640), (4000, 16), (16, 4000), (16, 16)):
        sheet.add(picture(photo("coffee", width, height)), sample(0))
    assert pixels(sheet.png("a title that is much too long " * 20, clear=False)).size
