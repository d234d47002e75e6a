"""Parameter sets that only an earlier segment has: FFmpeg's HLS muxer writes those of open GOPs into the first one."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from kinds import CLOSED, GOP, HEVC_OPEN_GOP, OPEN_GOP, REFRESH
from media import (
    FRAME_TICKS,
    RATE,
    Recipe,
    cut,
    encode,
    encode_pictures,
    keyframes,
    level_error,
    number_in,
    painted,
    remux,
    rewritten,
    side_by_side,
    steady,
    x264,
)

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.demux.codecs.nal import NalCodec, NalReader
from sampler.demux.packet_reader import Demuxer
from sampler.demux.source import InputFile
from sampler.errors import UndecodableError
from sampler.frames import SampledSegment
from sampler.limits import Limits

SETS = {"libx264": frozenset([7, 8]), "libx265": frozenset([32, 33, 34])}
STREAMS = {"open gops": OPEN_GOP, "intra refresh": REFRESH, "hevc": HEVC_OPEN_GOP}


def kind(recipe: Recipe, unit: bytes) -> int:
    return unit[0] & 0x1F if recipe.codec == "libx264" else unit[0] >> 1


def without_sets(recipe: Recipe, data: bytes) -> bytes:
    return rewritten(data, lambda _, units: [unit for unit in units if kind(recipe, unit) not in SETS[recipe.codec]])


@cache
def stream(name: str) -> tuple[tuple[bytes, int], ...]:
    """Three segments, the parameter sets in the first alone, each with the number of its first picture."""
    recipe = STREAMS[name]
    data = encode(recipe, steady(3 * GOP))
    edges = [*keyframes(data)[:3], 3 * GOP]
    first, *rest = cut(data, edges)
    found = [(first.data, 0), *((without_sets(recipe, part.data), part.numbers[0]) for part in rest)]
    return tuple(found)


def still(recipe: Recipe, count: int) -> bytes:
    return encode_pictures(recipe, steady(count), lambda _: painted(recipe, 0, 0, still=True))


def look(decoder: Decoder, data: bytes, sets: bytes = b"", **more: bytes) -> SampledSegment:
    return decoder.sample(data, profile=BALANCED, seed=b"sets", parameter_sets=sets, **more)


@pytest.mark.parametrize("name", STREAMS)
def test_sets_of_the_first_segment_hold_on_in_all_that_follow(decoder: Decoder, name: str) -> None:
    """All but the first segment of an ordinary stream would be `failed`, though every viewer sees them."""
    (first, _), *rest = stream(name)
    before, sets = first, look(decoder, first).parameter_sets

    assert 0 < len(sets) < 400
    for data, first_number in rest:
        segment = look(decoder, data, sets, before=before)
        assert segment.unmoderated == ()
        assert segment.notes == ()
        assert len(segment.frames) >= 2
        for frame in segment.frames:
            assert number_in(frame.picture.luma()) == first_number + round(frame.pts_seconds * RATE)
            assert level_error(frame.picture.luma()) < 4
        before, sets = data, segment.parameter_sets
    assert sets == look(decoder, first).parameter_sets


@pytest.mark.parametrize("name", STREAMS)
def test_without_them_nothing_is_made_up(decoder: Decoder, name: str) -> None:
    """What a decoder makes of a stream that it cannot read would count as moderated."""
    _, (second, _), _ = stream(name)
    with pytest.raises(UndecodableError):
        look(decoder, second)
    with pytest.raises(UndecodableError):
        look(decoder, second, b"\0\0\1\x67\x64\0\0\1\x68" + bytes(range(256)))


def test_a_segment_s_own_sets_replace_them(decoder: Decoder) -> None:
    """After a change of size all would be read by the sets of before."""
    small, large = (encode(x264(**CLOSED), steady(GOP)), encode(x264(**CLOSED, cabac=0), steady(GOP)))
    sets = look(decoder, small).parameter_sets
    segment = look(decoder, large, sets)

    assert segment.frames
    assert all(level_error(frame.picture.luma()) < 4 for frame in segment.frames)
    assert segment.parameter_sets == look(decoder, large).parameter_sets != sets


def test_sets_that_come_later_are_not_those_of_the_beginning(decoder: Decoder) -> None:
    """A GOP that goes on from before would be read, cropped say, by sets that a player gets only after it."""
    plain, cropped = x264(**CLOSED), x264(crop_rect="0,0,96,0", **CLOSED)
    first = encode(plain, steady(GOP))
    joined = without_sets(plain, encode(plain, steady(10))) + encode(cropped, steady(GOP))
    segment = look(decoder, joined, look(decoder, first).parameter_sets)
    alone = look(decoder, joined)

    assert segment.frames[0].picture.width == plain.width
    assert {frame.picture.width for frame in segment.frames} == {plain.width, plain.width - 96}
    assert {frame.picture.width for frame in alone.frames} == {plain.width - 96}
    assert "undecodable" in {stretch.reason for stretch in alone.unmoderated}
    assert min(frame.pts_seconds for frame in alone.frames) > 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda units: [*units, *([b"\x68" + bytes([255, number % 251 + 1, 7]) for number in range(300)])],
        lambda units: [*units[:1], *([b"\x0c\xff"] * 600), *units[1:]],
        lambda units: [*units, b"\x67\x64"],
    ],
    ids=["many", "unread units", "no sense"],
)
def test_sets_that_cannot_be_known_are_not_handed_on(decoder: Decoder, spoil) -> None:
    """A segment after it would be read by others than a player has."""
    first, _ = stream("open gops")[0]
    spoilt = rewritten(first, lambda index, units: spoil(units) if index == 3 else units)
    assert look(decoder, spoilt).parameter_sets == b""


def test_two_videos_hand_on_none(decoder: Decoder) -> None:
    """One's sets would be given to the other."""
    first, _ = stream("open gops")[0]
    assert look(decoder, side_by_side(first, first)).parameter_sets == b""


def test_sets_of_a_gop_that_is_not_sampled_hold_on(decoder: Decoder, tmp_path: Path) -> None:
    """GOPs after it would be read by sets of before: a broadcaster would crop what we see, and no player's picture."""
    alike = {"qp": 30, "bframes": 0, **CLOSED}
    plain, cropped = x264(**alike), x264(crop_rect="0,0,96,0", **alike)
    gops = [
        still(cropped, 5),
        remux(still(plain, 1), lambda _, pts: pts + 5 * FRAME_TICKS),
        remux(without_sets(plain, still(plain, GOP)), lambda _, pts: pts + 6 * FRAME_TICKS),
    ]
    data = b"".join(gops)
    segment = look(decoder, data)
    numbers = [round(frame.pts_seconds * RATE) for frame in segment.frames]
    widths = {frame.picture.width for frame, number in zip(segment.frames, numbers, strict=True) if number >= 6}

    assert widths == {plain.width}
    (tmp_path / "segment.ts").write_bytes(data)
    with (tmp_path / "segment.ts").open("rb") as file:
        demuxer = Demuxer(InputFile(file.fileno(), len(data)), Limits())
        (window,) = demuxer.windows()
        demuxer.close()
    # What decodes from there on is given them, whether it was given the GOP before or not.
    assert window.packets[6].keyframe
    assert SETS[plain.codec] <= {unit[0] & 0x1F for unit in bytes(window.payloads[6]).split(b"\0\0\1")[1:]}


def test_sets_of_a_container_s_record_are_not_repeated() -> None:
    """A hostile MP4 would end the decoder: with lengths of one byte no unit over 255 bytes can be written."""
    long = bytes.fromhex("6764000dacd941417b0110000003001000000303c0f1429960") + b"\x55" * 300
    record = b"\x01\x64\x00\x0d\xfc\xe1" + len(long).to_bytes(2, "big") + long + b"\x01\x00\x04\x68\xee\x3c\x80"
    reader = NalReader(NalCodec.H264, record)
    changed, keyframe = b"\x04\x68\xee\x3c\xb0", b"\x06\x65\x88\x84\x00\x33\xff"
    reader.read(changed + keyframe)
    reader.read(keyframe)

    assert reader.lacking() == changed


COARSE, FINE = (x264(**CLOSED, bframes=0, cabac=0, qp=qp) for qp in (40, 10))
"""Both with one and the same SPS, and PPS with other quantisers to begin with."""


def sets_of(recipe: Recipe) -> list[bytes]:
    units: list[bytes] = []
    rewritten(encode(recipe, steady(1)), lambda _, found: units.extend(found) or found)
    return [unit for unit in units if kind(recipe, unit) in SETS[recipe.codec]]


def second_gop(between: Callable[[list[bytes]], list[bytes]], begins: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """Two GOPs, the second without parameter sets.

    Args:
        between: gives the units in front of the first GOP's last picture.
        begins: gives the units of the second GOP's keyframe.
    """
    first = rewritten(encode(COARSE, steady(GOP)), lambda index, units: between(units) if index == GOP - 1 else units)
    second = rewritten(
        without_sets(FINE, encode(FINE, steady(GOP))), lambda index, units: begins(units) if index == 0 else units
    )
    return first + remux(second, lambda _, pts: pts + GOP * FRAME_TICKS)


def damaged(units: list[bytes]) -> list[bytes]:
    return [b"\x67\x42\x80", *sets_of(FINE), *units]


def in_a_message(units: list[bytes]) -> list[bytes]:
    body = b"\x11" * 16 + b"\x11".join(sets_of(FINE))
    return [b"\x06\x05" + bytes([len(body)]) + body + b"\x80", *units]


@pytest.mark.parametrize(
    ("between", "begins"),
    [
        pytest.param(lambda units: [*sets_of(FINE), *units], lambda units: units, id="in a skipped picture"),
        pytest.param(lambda units: [*units, *sets_of(FINE)], lambda units: units, id="behind a skipped picture"),
        pytest.param(damaged, lambda units: units, id="behind one that makes no sense"),
        pytest.param(
            lambda units: [*([b"\x68" + bytes([255, n % 251 + 1, 7]) for n in range(300)]), *sets_of(FINE), *units],
            lambda units: units,
            id="behind too many",
        ),
        pytest.param(
            lambda units: [*units, *([b"\x0c\xff"] * 600), *sets_of(FINE)],
            lambda units: units,
            id="behind units that are not read",
        ),
        pytest.param(lambda units: [*sets_of(FINE), *units], in_a_message, id="repeated in a message"),
    ],
)
def test_a_keyframe_is_read_by_the_sets_in_force_in_front_of_it(decoder: Decoder, between, begins) -> None:
    """What we see would be grey, and every viewer's picture would count as moderated."""
    segment = look(decoder, second_gop(between, begins))
    late = [frame for frame in segment.frames if frame.pts_seconds * RATE > GOP - 0.5]

    assert len(late) >= 2
    for frame in late:
        assert not frame.concealed
        assert level_error(frame.picture.luma()) < 4


def test_sets_behind_a_keyframe_s_picture_are_not_put_in_front_of_it() -> None:
    """In an MP4 they may lie there: the keyframe would be read by what a player gets after it."""
    sets, behind = sets_of(COARSE), sets_of(FINE)[1]
    keyframe, predicted = b"\x65\x88\x84\x00\x33\xff", b"\x41\x9a\x24\x6c\x42\x7f"
    reader = NalReader(NalCodec.H264, b"")
    for units in ([*sets, keyframe], [predicted], [keyframe, behind]):
        reader.read(b"".join(b"\0\0\1" + unit for unit in units))

    assert behind != sets[1]
    assert reader.lacking() == b"".join(b"\0\0\1" + unit for unit in sets)
