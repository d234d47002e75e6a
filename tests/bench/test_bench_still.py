"""Still scenes of the sampling benchmark, which the gate keeps from the classifiers."""

import pytest

from bench.clips import ENCODERS, INTRA_REFRESH, make_clean_clip
from bench.material import Reel
from bench.sampling import HIDDEN_HEIGHT, HIDDEN_WIDTH, gate_passes
from sampler.child.decoder import Decoder


@pytest.fixture(scope="module")
def reel() -> Reel:
    """An empty room, small."""
    return Reel(["still"], width=HIDDEN_WIDTH, height=HIDDEN_HEIGHT)


@pytest.mark.parametrize(
    "encoder", [one for one in ENCODERS if one.name != INTRA_REFRESH], ids=lambda encoder: encoder.name
)
def test_coding_noise_of_small_pictures_is_no_new_content(reel: Reel, encoder) -> None:
    """A still camera whose encoder has a small buffer would cost a classifier run for most samples."""
    clip = make_clean_clip(reel, encoder=encoder, base="still", gop_seconds=2, seconds=60)
    with Decoder() as decoder:
        passed = list(gate_passes(clip, decoder))
    assert len(passed) >= 30
    # One in ten, 5 to 30 s after the last, whatever the picture shows: two to four of these.
    assert 2 <= sum(passed) <= 4
