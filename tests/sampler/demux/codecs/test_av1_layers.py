"""Layers of AV1: those that its operating point leaves out are skipped by decoders that take it, and by no others."""

from dataclasses import replace

import pytest
from hidden_behind import assert_unmoderated, in_layers, still
from kinds import AV1
from mp4_packets import Coded, coded_in, mp4_of

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

AV1_INTRA = replace(AV1, options=AV1.options | {"g": "1"})
LEFT_OUT = {
    "the upper layer": (0x101, False),
    "the lower layer": (0x201, False),
    "the later one in time": (0x101, True),
}
START, STOP = 20, 30


def layered(shown: int, *, temporal: bool, start: int, stop: int) -> bytes:
    """A clip whose packets [start, stop) have two layers, each another photograph, and the others one."""
    first, second = still(AV1_INTRA, "astronaut"), still(AV1_INTRA, "coffee")
    packets = [
        Coded(
            in_layers(
                *([one.data, other.data] if start <= index < stop else [one.data]), shown=shown, temporal=temporal
            ),
            True,
        )
        for index, (one, other) in enumerate(zip(coded_in(first), coded_in(second), strict=True))
    ]
    return mp4_of(packets, first)


@pytest.mark.parametrize(("start", "stop"), [(0, 50), (START, STOP)], ids=["always", "in an insert"])
@pytest.mark.parametrize(("shown", "temporal"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_a_layer_that_decoders_are_to_skip_is_not_called_seen(
    decoder: Decoder, shown: int, temporal: bool, start: int, stop: int
) -> None:
    """A player that takes another operating point, or none, would show it, and no sample does."""
    assert_unmoderated(
        decoder.sample(layered(shown, temporal=temporal, start=start, stop=stop), profile=BALANCED, seed=b"layers")
    )


@pytest.mark.parametrize("shown", [0x000, 0x101, 0x301, 0x103], ids=["none named", "one", "two", "two in time"])
def test_a_stream_of_one_layer_is_moderated_however_many_it_names(decoder: Decoder, shown: int) -> None:
    """A server leaves layers out of a conference's stream, and its sequence header as it is."""
    data = layered(shown, temporal=False, start=0, stop=0)
    segment = decoder.sample(data, profile=BALANCED, seed=b"layers")

    assert (segment.notes, segment.unmoderated) == ((), ())


def test_layers_in_time_are_sampled(decoder: Decoder) -> None:
    """Conferences send every other picture as of a layer of its own: they would never be moderated."""
    packets = coded_in(still(AV1_INTRA, "astronaut"))
    layers = [Coded(in_layers(one.data, shown=0x103), True) for one in packets]
    upper = [Coded(one.data.replace(b"\x36\x00", b"\x36\x20", 1), True) for one in layers]
    data = mp4_of(
        [(upper if index % 2 else layers)[index] for index in range(len(packets))], still(AV1_INTRA, "astronaut")
    )
    segment = decoder.sample(data, profile=BALANCED, seed=b"layers")

    assert any(one.data != other.data for one, other in zip(layers, upper, strict=True))
    assert (segment.notes, segment.unmoderated) == ((), ())
