"""Packets of which players show other pictures than the stream's own decoder gives: none of them counts as seen."""

import signal
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hidden_behind import PICTURES, SECOND, assert_unmoderated, behind, in_layers, shows, still
from kinds import AV1, KINDS, VP9, clip
from media import FRAME_SECONDS, Recipe, encode_pictures, photograph, steady
from mp4_packets import Coded, coded_in, mp4_of, superframe

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.errors import DecoderDiedError

START, STOP = 20, 30
SEEDS, MANY = 24, 20_000
VP9_INTRA = replace(VP9, options=VP9.options | {"g": "1"})
AV1_INTRA = replace(AV1, options=AV1.options | {"g": "1"})
RICH = BALANCED.model_copy(update={"macroblocks_per_second": 10**8})
SIZE_AT, NEARLY_TOO_LARGE = 28, (8000, 7900)
"""Place of the width in a sample entry, and a size just under the limit on pictures."""


@pytest.mark.parametrize(("start", "stop"), [(0, PICTURES), (START, STOP)], ids=["always", "in an insert"])
def test_a_picture_behind_another_is_not_called_seen(decoder: Decoder, start: int, stop: int) -> None:
    """Chromium shows the second one, and all samples were of the first."""
    data = behind(still(VP9_INTRA, "astronaut"), still(VP9_INTRA, "coffee"), start=start, stop=stop)

    assert_unmoderated(decoder.sample(data, profile=BALANCED, seed=b"second"))


def test_what_is_behind_another_picture_is_sampled(decoder: Decoder) -> None:
    """It would be known that something is hidden, and never what."""
    data = behind(still(VP9_INTRA, "astronaut"), still(VP9_INTRA, "coffee"), start=START, stop=STOP)
    segment = decoder.sample(data, profile=BALANCED, seed=b"second")

    assert any(shows(frame, "coffee") for frame in segment.frames)
    assert any(shows(frame, "astronaut") for frame in segment.frames)


def test_a_gop_behind_a_keyframe_is_soon_seen(decoder: Decoder) -> None:
    """One packet is enough: what follows is predicted from either of its pictures."""
    first, second = still(VP9, "astronaut"), still(VP9, "coffee")
    keyframe, *others = coded_in(second)
    data = mp4_of([Coded(coded_in(first)[0].data + keyframe.data, True), *others], first)
    noted = seen = 0
    for seed in range(SEEDS):
        segment = decoder.sample(data, profile=BALANCED, seed=bytes([seed]))
        is_seen = any(shows(frame, "coffee") for frame in segment.frames)
        seen += is_seen
        if SECOND in segment.notes:
            noted += 1
            assert is_seen
            assert_unmoderated(segment)

    assert noted >= SEEDS / 12
    assert seen >= SEEDS / 2


def test_what_one_decoder_refuses_is_soon_known(decoder: Decoder) -> None:
    """A player that has it goes on with something else, or ends."""
    packets = coded_in(still(VP9, "astronaut"))
    packets[START:] = [Coded(one.data + b"\x40" * 20, one.keyframe) for one in packets[START:]]
    data = mp4_of(packets, still(VP9, "astronaut"))
    segments = [decoder.sample(data, profile=BALANCED, seed=bytes([seed])) for seed in range(SEEDS)]
    lost = [stretch for segment in segments for stretch in segment.unmoderated]

    assert len(lost) >= SEEDS / 2
    for stretch in lost:
        assert stretch.reason == "undecodable"
        assert stretch.start_seconds == pytest.approx(START * FRAME_SECONDS)
        assert stretch.end_seconds == pytest.approx(PICTURES * FRAME_SECONDS)


@pytest.mark.parametrize("says_larger", [False, True], ids=["plain", "in a container that says otherwise"])
def test_thousands_of_pictures_in_a_packet_cost_little(decoder: Decoder, says_larger: bool) -> None:
    """No index counts them: half a megabyte took a decoder of 720p six seconds, and each worker that was given it."""
    large = replace(VP9, width=640, height=360)
    packets = coded_in(still(large, "astronaut"))
    packets[START] = Coded(packets[START].data * MANY, packets[START].keyframe)
    data = mp4_of(packets, still(large, "astronaut"))
    if says_larger:
        at = data.index(b"vp09") + SIZE_AT
        data = data[:at] + struct.pack(">HH", *NEARLY_TOO_LARGE) + data[at + 4 :]
    died = 0
    for seed in range(SEEDS // 2):
        try:
            decoder.sample(data, profile=RICH if says_larger else BALANCED, seed=bytes([seed]))
        except DecoderDiedError as error:
            died += -error.exit_status == signal.SIGPROF
    assert SEEDS / 8 <= died < SEEDS / 2


def test_where_both_cannot_be_decoded_either_is(decoder: Decoder) -> None:
    """A broadcaster of large pictures would know which decoder is used."""
    data = behind(still(VP9_INTRA, "astronaut"), still(VP9_INTRA, "coffee"))
    poor = BALANCED.model_copy(update={"macroblocks_per_second": 150_000, "max_gap_seconds": 0.2})
    segment = decoder.sample(data, profile=poor, seed=b"second")

    assert any(shows(frame, "astronaut") for frame in segment.frames)
    assert any(shows(frame, "coffee") for frame in segment.frames)


def test_a_picture_that_differs_in_a_corner_is_not_called_seen(decoder: Decoder) -> None:
    """Something small, or faint, would be hidden in what is nearly the same."""
    photo = photograph("astronaut", VP9.width, VP9.height)
    other = photo.copy()
    other[60:76, 100:128] = np.clip(other[60:76, 100:128] + 20, 0, 255)
    first = encode_pictures(VP9_INTRA, steady(PICTURES), lambda _index: photo)
    second = encode_pictures(VP9_INTRA, steady(PICTURES), lambda _index: other)

    assert_unmoderated(decoder.sample(behind(first, second), profile=BALANCED, seed=b"second"))


def one_after_another(*pictures: bytes) -> bytes:
    return b"".join(pictures)


@pytest.mark.parametrize(
    ("recipe", "join"),
    [(VP9_INTRA, superframe), (AV1_INTRA, one_after_another), (AV1_INTRA, in_layers)],
    ids=["vp9", "av1", "av1 in layers"],
)
def test_two_pictures_of_one_packet_are_not_called_seen(
    decoder: Decoder, recipe: Recipe, join: Callable[..., bytes]
) -> None:
    """Players show the first or the last, and the sample of a packet was its first."""
    first, second = still(recipe, "astronaut"), still(recipe, "coffee")
    pairs = zip(coded_in(first), coded_in(second), strict=True)
    data = mp4_of([Coded(join(one.data, other.data), True) for one, other in pairs], first)
    segment = decoder.sample(data, profile=BALANCED, seed=b"second")

    assert_unmoderated(segment)
    for name in ("astronaut", "coffee"):
        assert any(shows(frame, name) for frame in segment.frames)


def test_pictures_of_many_bytes_may_take_their_time(decoder: Decoder) -> None:
    """A broadcaster of high quality would lose all segments of which the second decoder has a part."""
    options = VP9.options | {"crf": "0", "b": "0", "qmin": "0", "qmax": "1"}
    recipe = replace(VP9, width=640, height=360, options=options)
    chance = np.random.default_rng(7)
    data = encode_pictures(recipe, steady(PICTURES // 2), lambda _index: chance.integers(20, 230, (360, 640)))

    for seed in range(6):
        segment = decoder.sample(data, profile=RICH, seed=bytes([seed]))
        assert (segment.notes, segment.unmoderated) == ((), ())


@pytest.mark.parametrize("name", [name for name in KINDS if name.startswith(("vp9", "av1"))])
def test_an_honest_stream_is_not_noted(decoder: Decoder, name: str) -> None:
    """Both decoders make the same of it, hidden pictures and all."""
    segment = decoder.sample(clip(name), profile=BALANCED, seed=b"second")

    assert segment.notes == ()
    assert not segment.unmoderated
