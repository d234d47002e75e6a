"""Pictures of H.264 beside those that FFmpeg decodes: a second view, a larger layer, transparency, parts of slices."""

import pytest
from hidden_behind import SECOND
from media import RATE, encode, rewritten, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

PICTURES = 2 * RATE
CLIP = x264(keyint=RATE, min_keyint=RATE, scenecut=0, bframes=0)
SLICE, IDR = 1, 5
LAYERS = {
    "a part of a slice": 2,
    "transparency": 19,
    "a second view, or a larger layer": 20,
    "a second view with depth": 21,
}
"""Kinds of NAL units (H.264, table 7-1)."""
PREFIX, SUBSET = b"\x6e\x40\x80\x27", b"\x6f\x76\x00\x1e\xac\xd9\x41\x80"


def with_units(kind: int, *, start: int, stop: int) -> bytes:
    """The clip whose pictures [start, stop) have each of their slices once more, as of that kind."""
    data = encode(CLIP, steady(PICTURES))

    def doubled(index: int, units: list[bytes]) -> list[bytes]:
        slices = [unit for unit in units if unit[0] & 0x1F in (SLICE, IDR)]
        return units + [bytes([unit[0] & 0x60 | kind]) + unit[1:] for unit in slices if start <= index < stop]

    return rewritten(data, doubled)


@pytest.mark.parametrize(("start", "stop"), [(0, PICTURES), (30, 31)], ids=["always", "once"])
@pytest.mark.parametrize("kind", LAYERS.values(), ids=LAYERS.keys())
def test_a_picture_that_some_players_show_beside_another_is_not_called_seen(
    decoder: Decoder, kind: int, start: int, stop: int
) -> None:
    """Televisions show a second view to one eye, and no sample does."""
    segment = decoder.sample(with_units(kind, start=start, stop=stop), profile=BALANCED, seed=b"layers")

    assert SECOND in segment.notes
    assert sum(stretch.seconds for stretch in segment.unmoderated) == pytest.approx(segment.duration_seconds)
    assert segment.frames


def test_layers_in_time_are_no_other_pictures(decoder: Decoder) -> None:
    """Streams of video conferences, whose slices have prefixes that tell their layer, would never be moderated."""
    data = rewritten(
        encode(CLIP, steady(PICTURES)),
        lambda _, units: [one for unit in units for one in ([PREFIX] * (unit[0] & 0x1F in (SLICE, IDR)) + [unit])],
    )
    segment = decoder.sample(data, profile=BALANCED, seed=b"layers")

    assert (segment.notes, segment.unmoderated) == ((), ())


def test_parameters_of_layers_that_are_not_there_are_nothing(decoder: Decoder) -> None:
    """What a server leaves out of a stream's layers it need not leave out of its parameters."""
    data = rewritten(encode(CLIP, steady(PICTURES)), lambda index, units: [SUBSET, *units] if index == 0 else units)

    assert decoder.sample(data, profile=BALANCED, seed=b"layers").unmoderated == ()


def test_pictures_of_parts_of_slices_alone_are_in_the_ledger(decoder: Decoder) -> None:
    """FFmpeg passes over them without a word; decoders of the Extended profile show them."""
    data = encode(CLIP, steady(PICTURES))
    data = rewritten(
        data,
        lambda index, units: [
            bytes([unit[0] & 0x60 | LAYERS["a part of a slice"]]) + unit[1:]
            if unit[0] & 0x1F == SLICE and index > 30
            else unit
            for unit in units
        ],
    )
    segment = decoder.sample(data, profile=BALANCED, seed=b"layers")

    assert sum(stretch.seconds for stretch in segment.unmoderated) >= (PICTURES - 31) / RATE - 0.1
