"""Several pictures in one sample of an MP4: some decoders make the first, some the last, and some all."""

from dataclasses import replace

import pytest
from kinds import MPEG2, x265
from media import Recipe, encode_pictures, in_mp4, painted, steady, x264
from mp4_packets import coded_in, mp4_of

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

PICTURES = 50
OTHER = 512
WHOLE = {"keyint": PICTURES, "min_keyint": PICTURES, "scenecut": 0, "bframes": 0}
RECIPES = {
    "h264": in_mp4(x264(slices=1, **WHOLE)),
    "h264, of slices": in_mp4(x264(slices=4, **WHOLE)),
    "h264, of instant pictures": in_mp4(x264(slices=1, keyint=1, bframes=0)),
    "hevc": in_mp4(x265(**WHOLE, open_gop=0)),
    "mpeg-2": in_mp4(replace(MPEG2, options={"g": str(PICTURES), "bf": "0", "qscale": "4"})),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_picture_behind_another_is_not_called_seen(decoder: Decoder, recipe: Recipe) -> None:
    """A viewer whose device decodes both would see what no sample shows, and all would count as moderated."""
    shown, others = (
        encode_pictures(recipe, steady(PICTURES), lambda index, first=first: painted(recipe, first + index, first))
        for first in (0, OTHER)
    )
    pairs = [
        one._replace(data=one.data + other.data * (20 <= index < 40))
        for index, (one, other) in enumerate(zip(coded_in(shown), coded_in(others), strict=True))
    ]
    segment = decoder.sample(mp4_of(pairs, shown), profile=BALANCED, seed=b"several")

    assert [stretch.reason for stretch in segment.unmoderated] == ["second_video_stream"]
    assert sum(stretch.seconds for stretch in segment.unmoderated) == pytest.approx(segment.duration_seconds)
    assert decoder.sample(shown, profile=BALANCED, seed=b"several").notes == ()
