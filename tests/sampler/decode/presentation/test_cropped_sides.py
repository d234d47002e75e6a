"""Sides that a stream's parameter sets crop: no player shows them, so no hash may see them."""

from dataclasses import replace

import numpy as np
import pytest
from kinds import CLOSED, HEVC
from media import Recipe, encode_pictures, filtered, photograph, steady, x264
from numpy.typing import NDArray

from config.profiles import BALANCED
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from sampler.picture import Plane

WIDTH, HEIGHT = 320, 176
X264 = replace(x264(bframes=0, **CLOSED), width=WIDTH, height=HEIGHT)
RECIPES = {
    "h264": X264,
    "h264, 10 bit": replace(X264, pixel_format="yuv420p10le"),
    "hevc": replace(HEVC, width=WIDTH, height=HEIGHT),
}
MATCH_BITS = 31


def beside_stripes(listed: Plane) -> NDArray[np.float64]:
    """Luma of a picture whose right part is the listed one, and its left one stripes."""
    stripes = np.kron(np.arange(WIDTH // 8) % 2 * 255.0, np.ones((HEIGHT, 8)))
    stripes[:, WIDTH - listed.shape[1] :] = listed
    return stripes


@pytest.mark.parametrize("left", [2, 18, 30, 62])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_what_is_cropped_at_the_left_is_not_hashed(decoder: Decoder, recipe: Recipe, left: int) -> None:
    """A listed picture would match no list, for what a broadcaster put beside it, which no viewer sees."""
    listed = photograph("astronaut", WIDTH - left, HEIGHT).astype(np.uint8)
    codec = "hevc" if recipe.codec == "libx265" else "h264"
    data = encode_pictures(recipe, steady(10), lambda _: beside_stripes(listed))
    seen = decoder.sample(filtered(data, f"{codec}_metadata=crop_left={left}"), profile=BALANCED, seed=b"cropped")

    assert seen.frames
    for frame in seen.frames:
        luma = frame.picture.luma()
        assert (frame.picture.width, frame.picture.height) == (WIDTH - left, HEIGHT)
        assert np.abs(luma.astype(np.float64) - listed).mean() < 6
        assert hash_luma(luma).distance(hash_luma(listed)) <= MATCH_BITS
