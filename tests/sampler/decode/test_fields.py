"""H.264 whose pictures are coded as two fields each (PAFF), as in broadcast chains."""

from itertools import pairwise

import numpy as np
import pytest
from fields import SIZE, field_coded
from media import BLOCK_PIXELS, FRAME_SECONDS, RATE, level_error, number_in, painted
from mp4_packets import Coded, coded_in, mp4_of

from config.profiles import PROFILES, SamplingProfile
from sampler.child.decoder import Decoder
from sampler.frames import SampleReason

PICTURES = 120


@pytest.fixture(scope="module", params=["fields together", "fields apart", "in an MP4"])
def stream(request: pytest.FixtureRequest) -> bytes:
    fields = field_coded(PICTURES, gop=60, apart=request.param == "fields apart")
    return in_samples(fields) if request.param == "in an MP4" else fields


def in_samples(fields: bytes) -> bytes:
    """A fragmented MP4, each sample of which is a picture of two fields."""
    coded = coded_in(fields)
    pairs = zip(coded[::2], coded[1::2], strict=True)
    return mp4_of([Coded(first.data + second.data, first.keyframe) for first, second in pairs], fields)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_both_fields_are_in_the_picture_of_their_time(
    decoder: Decoder, stream: bytes, profile: SamplingProfile
) -> None:
    """Half a picture, its other lines grey or from the previous picture, would match nothing."""
    segment = decoder.sample(stream, profile=profile, seed=b"fields")

    assert len(segment.frames) >= 2
    for frame in segment.frames:
        assert number_in(frame.picture.luma()) == round(frame.pts_seconds * RATE)
        assert level_error(frame.picture.luma()) < 1
        assert not frame.concealed


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_pictures_of_two_fields_are_sampled_within_the_bound(
    decoder: Decoder, stream: bytes, profile: SamplingProfile
) -> None:
    """Broadcast chains code fields: whole seconds would go unseen because a picture's second field is missing."""
    segment = decoder.sample(stream, profile=profile, seed=b"fields")
    times = [frame.pts_seconds for frame in segment.frames]
    longest = max(after - before for before, after in pairwise([0, *times, PICTURES * FRAME_SECONDS]))

    assert longest <= profile.max_gap_seconds + FRAME_SECONDS + 1e-6
    assert segment.unmoderated == ()


@pytest.mark.parametrize("apart", [False, True], ids=["fields together", "fields apart"])
def test_a_cut_between_two_fields_is_sampled_once_both_show_it(decoder: Decoder, apart: bool) -> None:
    """Another scene could begin with a second field, and be sampled by nobody or with every other line of it."""
    stream = field_coded(PICTURES, gop=PICTURES, apart=apart, cut=54)
    segment = decoder.sample(stream, profile=PROFILES["balanced"], seed=b"fields")
    (cut,) = (frame for frame in segment.frames if frame.reason is SampleReason.CUT)

    assert number_in(cut.picture.luma()) == 55
    shown = cut.picture.luma()[BLOCK_PIXELS:].astype(float)
    assert np.abs(shown - painted(SIZE, 55, 1, still=True)[BLOCK_PIXELS:]).mean() < 1


def test_two_fields_count_as_one_picture(decoder: Decoder, stream: bytes) -> None:
    """The ledger would count twice the pictures, and show a frame rate of 50 in place of 25."""
    segment = decoder.sample(stream, profile=PROFILES["balanced"], seed=b"fields")

    assert segment.frames_total == PICTURES
    assert segment.duration_seconds == pytest.approx(PICTURES * FRAME_SECONDS)
    assert segment.notes == ()
