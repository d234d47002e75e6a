"""Decoded pictures as a reviewer sees them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from clips import photo
from numpy.typing import NDArray

from sampler.picture import Picture
from worker.moderation.picture_encoder import PictureEncoder


def decoded(width: int, height: int, **changes: object) -> Picture:
    """A harmless picture as the decoder gives it."""
    rgb = photo("astronaut", width, height)
    planes = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8).reshape(-1)
    luma, chroma = width * height, width * height // 4
    picture = Picture(
        planes=(
            planes[:luma].reshape(height, width),
            planes[luma : luma + chroma].reshape(height // 2, width // 2),
            planes[luma + chroma :].reshape(height // 2, width // 2),
        ),
        full_range=False,
        matrix="bt601",
    )
    return replace(picture, **changes)


def shown(jpeg: bytes) -> NDArray[np.uint8]:
    """The pixels of a JPEG, RGB."""
    read = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("rotation_degrees", "mirrored"), [(0, False), (90, False), (180, True), (270, True)])
def test_a_picture_is_encoded_as_models_and_people_see_it(
    matrix: str, full_range: bool, rotation_degrees: int, mirrored: bool
) -> None:
    """A reviewer would see another picture than the one that was judged: in wrong colours, or upside down."""
    changes = {"matrix": matrix, "full_range": full_range}
    picture = decoded(640, 360, rotation_degrees=rotation_degrees, mirrored=mirrored, **changes)
    seen = shown(PictureEncoder().jpeg(picture))
    assert seen.shape == picture.rgb().shape
    assert np.abs(seen.astype(int) - picture.rgb()).mean() < 4


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (3840, 2160), (1080, 1920), (1282, 720)])
def test_a_large_picture_is_shrunk(width: int, height: int) -> None:
    """A picture of 4K would take a tenth of a second and four megabytes."""
    seen = shown(PictureEncoder().jpeg(decoded(width, height)))
    assert max(seen.shape[:2]) == 1280
    expected = cv2.resize(photo("astronaut", width, height), seen.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(seen.astype(int) - expected).mean() < 4


def test_pictures_of_other_sizes_and_layouts_follow_each_other() -> None:
    """The memory of the picture before would show through, or the next picture would have no evidence."""
    encoder = PictureEncoder()
    for picture in (decoded(640, 360), decoded(320, 180), decoded(640, 360)):
        seen = shown(encoder.jpeg(picture))
        assert np.abs(seen.astype(int) - picture.rgb()).mean() < 4
    grey = decoded(320, 180)
    grey = replace(grey, planes=grey.planes[:1])
    assert np.abs(shown(encoder.jpeg(grey)).astype(int) - grey.rgb()).mean() < 4


def test_no_pixels_stay_in_its_memory() -> None:
    """Whoever takes over a worker would read the last picture."""
    encoder = PictureEncoder()
    encoder.jpeg(decoded(1920, 1080))
    held = [value for value in vars(encoder).values() if isinstance(value, np.ndarray)]
    held += [plane for value in vars(encoder).values() if isinstance(value, list) for plane in value]
    assert len(held) == 5
    assert not any(memory.any() for memory in held)
