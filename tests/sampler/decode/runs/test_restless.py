"""Fast motion, of which packets suspect a cut in every few pictures."""

from functools import cache
from itertools import pairwise

import pytest

from bench.extremes import PRICED
from bench.hidden_clips import HiddenClip
from config.profiles import BALANCED
from sampler.child.decoder import Decoder

CUTS_SECONDS = (1.25, 5.71, 7.79, 10.71, 13.0, 15.08, 17.62, 19.54)
"""The film's cuts between two shots, as one sees them."""
END_SECONDS = 20.0
MOST = 40
"""Samples of its 20 s that are taken at most: 10 keyframes, both sides of each cut, and some of shots that pan."""


@cache
def montage(name: str) -> HiddenClip:
    (stream,) = (one for one in PRICED if one.name == name)
    return stream.make()()


@pytest.mark.parametrize("name", ["montage, 360p", "montage, 360p, low delay"])
def test_all_shots_of_a_fast_film_are_sampled_and_little_of_its_motion(decoder: Decoder, name: str) -> None:
    """Each picture that is taken for motion costs a classification, as much as decoding fifty."""
    clip = montage(name)
    seconds = []
    for number, (start, segment) in enumerate(zip(clip.starts_seconds, clip.clip.segments, strict=True)):
        frames = decoder.sample(segment, profile=BALANCED, seed=b"restless%d" % number).frames
        seconds += [start + frame.pts_seconds for frame in frames]

    assert len(seconds) <= MOST
    for begin, end in pairwise((*CUTS_SECONDS, END_SECONDS)):
        assert any(begin - 0.01 <= one < end - 0.05 for one in seconds), begin
