"""Units and claims that a player's decoder ignores: they may not choose what is decoded, or when it counts as seen."""

import io
from collections.abc import Callable

import av
import numpy as np
import pytest
from kinds import x265
from media import FRAME_SECONDS, FRAME_TICKS, Recipe, cut, encode_pictures, keyframes, photograph, steady, x264

from config.profiles import BALANCED, VIGILANT
from sampler.child.decoder import Decoder
from sampler.demux.codecs.nal import NalCodec, NalReader
from sampler.frames import PacketSummary, SampledSegment

PICTURES = 100
START, STOP = 45, 71
"""Pictures [START, STOP) are the insert's."""
WHOLE = {"keyint": PICTURES, "min_keyint": PICTURES, "scenecut": 0, "bframes": 0}
X264, X265 = x264(**WHOLE), x265(**WHOLE, open_gop=0)
GROUND, OTHER = (photograph(name, 192, 108) for name in ("astronaut", "coffee"))
DENSE = VIGILANT.model_copy(update={"audits_per_minute": 60.0})
START_CODE = b"\0\0\0\1"


def with_insert(recipe: Recipe, start: int = START, stop: int = STOP) -> bytes:
    return encode_pictures(recipe, steady(PICTURES), lambda index: OTHER if start <= index < stop else GROUND)


def rewritten(data: bytes, change: Callable[[int, bytes], bytes]) -> bytes:
    """The MPEG-TS with the bytes of each packet, by its index in decoding order, changed."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data), format="mpegts") as source, av.open(file, "w", format="mpegts") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            changed = av.Packet(change(index, bytes(packet)))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe, changed.stream = packet.is_keyframe, stream
            output.mux(changed)
    return file.getvalue()


def is_accounted(segment: SampledSegment, start: int = START, stop: int = STOP) -> bool:
    """True if a picture in [start, stop) was sampled, or all of their time is in the ledger."""
    clean = [round(frame.pts_seconds / FRAME_SECONDS) for frame in segment.frames if not frame.concealed]
    if any(start <= number < stop for number in clean):
        return True
    return all(
        any(one.start_seconds <= (number + 0.5) * FRAME_SECONDS < one.end_seconds for one in segment.unmoderated)
        for number in range(start, stop)
    )


IDR_OF_HEVC, IDR_OF_H264 = 19, 5
FOREIGN = {
    "another layer": (X265, bytes([IDR_OF_HEVC << 1, 1 << 3 | 1])),
    "a layer over 31": (X265, bytes([IDR_OF_HEVC << 1 | 1, 1])),
    "a reserved kind": (X265, bytes([22 << 1, 1])),
    "the forbidden bit": (X265, bytes([0x80 | IDR_OF_HEVC << 1, 1])),
    "no temporal layer": (X265, bytes([IDR_OF_HEVC << 1, 0])),
    "the kind of another picture": (X265, bytes([IDR_OF_HEVC << 1, 1, 0x01])),
    "h264, the forbidden bit": (X264, bytes([0x80 | 0x60 | IDR_OF_H264, 0x88])),
}


@pytest.mark.parametrize(("recipe", "head"), FOREIGN.values(), ids=FOREIGN.keys())
def test_a_unit_that_decoders_skip_begins_nothing(decoder: Decoder, recipe: Recipe, head: bytes) -> None:
    """Decoding would begin at a predicted picture, give nothing, and the time be called seen."""
    unit = START_CODE + head + b"\x55" * 10
    data = with_insert(recipe)
    alone = decoder.sample(data, profile=BALANCED, seed=b"foreign", packets=True)
    joined = decoder.sample(
        rewritten(data, lambda index, packet: unit + packet if index in (START - 5, STOP + 5) else packet),
        profile=BALANCED,
        seed=b"foreign",
        packets=True,
    )

    begins = [[packet.pts_seconds for packet in one.packets if packet.keyframe] for one in (alone, joined)]
    assert begins[0] == begins[1]
    assert is_accounted(joined)


@pytest.mark.parametrize("head", [FOREIGN["another layer"][1], FOREIGN["a reserved kind"][1]])
def test_a_unit_that_decoders_skip_has_no_size(decoder: Decoder, head: bytes) -> None:
    """With them a broadcaster could make all packets alike."""
    unit = START_CODE + head + b"\x55" * 1000
    data = with_insert(X265)
    alone = decoder.sample(data, profile=BALANCED, seed=b"foreign", packets=True)
    joined = decoder.sample(
        rewritten(data, lambda _, packet: packet + unit), profile=BALANCED, seed=b"foreign", packets=True
    )

    for before, after in zip(alone.packets, joined.packets, strict=True):
        assert after.size_bytes == pytest.approx(before.size_bytes, abs=2)


@pytest.mark.parametrize("kind", ["h264", "hevc"])
def test_a_run_that_gives_no_picture_is_in_the_ledger_however_short(decoder: Decoder, kind: str) -> None:
    """Samples on both sides of it would speak for what none of them shows."""
    short = {"keyint": 25, "min_keyint": 25, "scenecut": 0, "bframes": 0}
    recipe = x264(**short) if kind == "h264" else x265(**short, open_gop=0)
    header = 5 if kind == "h264" else 6

    def emptied(index: int, packet: bytes) -> bytes:
        return packet[: packet.rindex(b"\0\0\1") + header] if 50 <= index < 75 else packet

    segment = decoder.sample(rewritten(with_insert(recipe, 50, 75), emptied), profile=BALANCED, seed=b"foreign")
    unseen = [stretch for stretch in segment.unmoderated if stretch.reason == "undecodable"]

    assert is_accounted(segment, 50, 75)
    assert sum(stretch.seconds for stretch in unseen) == pytest.approx(1.0, abs=2 * FRAME_SECONDS)


RADL_OF_RASL = {8: 6, 9: 7}
TRAIL_OF_RASL = {8: 0, 9: 1}
OPEN = x265(keyint=50, min_keyint=50, open_gop=1, bframes=12, b_adapt=0, rc_lookahead=30)


def test_a_leading_picture_that_calls_itself_independent_is_decoded_after_the_gop_before(decoder: Decoder) -> None:
    """The decoder would make up what it leans on, without a word: a player shows it as it is."""
    data = encode_pictures(OPEN, steady(PICTURES), lambda index: OTHER if 38 <= index < 50 else GROUND)
    segment = decoder.sample(rewritten(data, as_radl), profile=BALANCED, seed=b"foreign")
    shown = [frame for frame in segment.frames if 38 <= round(frame.pts_seconds / FRAME_SECONDS) < 50]

    assert shown
    for frame in shown:
        assert np.abs(frame.picture.luma() - OTHER).mean() < np.abs(frame.picture.luma() - GROUND).mean() / 2


def test_at_a_border_such_pictures_are_reported(decoder: Decoder) -> None:
    """The segment before would not be asked for."""
    data = encode_pictures(OPEN, steady(PICTURES), lambda index: OTHER if 38 <= index < 50 else GROUND)
    (_, second) = cut(rewritten(data, as_radl), [0, keyframes(data)[1], PICTURES])
    segment = decoder.sample(second.data, profile=BALANCED, seed=b"foreign")

    assert segment.leading_seconds > 0
    assert segment.unmoderated[0].reason == "leading"


def as_radl(_index: int, packet: bytes) -> bytes:
    return retyped(packet, RADL_OF_RASL)


def retyped(packet: bytes, kinds: dict[int, int]) -> bytes:
    """The HEVC packet whose slices of some kinds call themselves others."""
    units = packet.split(b"\0\0\1")
    for number, unit in enumerate(units[1:], 1):
        kind = unit[0] >> 1 & 0x3F
        units[number] = bytes([unit[0] & 0x81 | kinds.get(kind, kind) << 1]) + unit[1:]
    return b"\0\0\1".join(units)


@pytest.mark.parametrize("kinds", [{}, TRAIL_OF_RASL], ids=["honest", "called trailing"])
def test_an_ordinary_picture_that_leans_on_the_gop_before_is_known(kinds: dict[int, int]) -> None:
    """Decoding would begin at the keyframe before it, and make up what it leans on without a word."""
    data = encode_pictures(OPEN, steady(PICTURES), lambda _: GROUND)
    reader = NalReader(NalCodec.HEVC, b"")
    with av.open(io.BytesIO(data)) as source:
        packets = [retyped(bytes(packet), kinds) for packet in source.demux(video=0) if packet.size]
    heads = [reader.read(packet) for packet in packets]

    assert sum(head.begins for head in heads) == 2
    assert any(head.outside for head in heads) == bool(kinds)


@pytest.mark.parametrize("ratio", [3, 6])
@pytest.mark.parametrize("kind", ["h264", "hevc"])
def test_bytes_behind_the_slices_hide_no_insert(decoder: Decoder, kind: str, ratio: int) -> None:
    """Decoders skip them: with them all packets are alike, so that no size says anything."""
    recipe = x264(**WHOLE, qp=27) if kind == "h264" else X265
    data = with_insert(recipe, 58, 71)
    most = max(packet.size_bytes for packet in packets_of(decoder, data)[1:]) + 50

    def padded(index: int, packet: bytes) -> bytes:
        return packet + b"\x55" * ((most if index else ratio * most) - len(packet))

    segment = decoder.sample(rewritten(data, padded), profile=BALANCED, seed=b"foreign")

    assert is_accounted(segment, 58, 71)


def message(count: int) -> bytes:
    """User data of a supplemental message, with its kind and length in front."""
    return b"\x05" + b"\xff" * (count // 255) + bytes([count % 255]) + b"\x55" * count + b"\x80"


PADDINGS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "h264, filler": ("h264", lambda count: START_CODE + b"\x0c" + b"\xff" * count + b"\x80"),
    "h264, message": ("h264", lambda count: START_CODE + b"\x06" + message(count)),
    "h264, cabac_zero_words": ("h264", lambda count: b"\0\0\x03" * (count // 3)),
    "h264, zeros": ("h264", bytes),
    "h264, another view": ("h264", lambda count: START_CODE + b"\x74" + b"\x55" * count),
    "hevc, filler": ("hevc", lambda count: START_CODE + b"\x4c\x01" + b"\xff" * count + b"\x80"),
    "hevc, message": ("hevc", lambda count: START_CODE + b"\x50\x01" + message(count)),
    "hevc, cabac_zero_words": ("hevc", lambda count: b"\0\0\x03" * (count // 3)),
    "hevc, zeros": ("hevc", bytes),
}


@pytest.mark.parametrize(("kind", "padding"), PADDINGS.values(), ids=PADDINGS.keys())
def test_padding_of_uneven_sizes_has_no_size(kind: str, padding: Callable[[int], bytes]) -> None:
    """Packets would look as if they said something, and none of a cut."""
    counts = np.random.default_rng(3).integers(300, 3000, PICTURES).tolist()
    data = encode_pictures(X264 if kind == "h264" else X265, steady(PICTURES), lambda _: GROUND)

    def sizes(padded: bool) -> list[int]:
        reader = NalReader(NalCodec.H264 if kind == "h264" else NalCodec.HEVC, b"")
        with av.open(io.BytesIO(data)) as source:
            packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
        return [
            reader.read(packet + padding(count) * padded).size_bytes
            for packet, count in zip(packets, counts, strict=True)
        ]

    assert sizes(padded=True) == sizes(padded=False)


def packets_of(decoder: Decoder, data: bytes) -> tuple[PacketSummary, ...]:
    return decoder.sample(data, profile=BALANCED, seed=b"foreign", packets=True).packets


@pytest.mark.parametrize("kind", ["h264", "hevc, by its time", "hevc, by its kind"])
def test_a_picture_in_the_middle_of_a_gop_is_no_leading_one(decoder: Decoder, kind: str) -> None:
    """It would be left out of decoding, and what leans on it show the scene before."""
    gop = {"keyint": 50, "min_keyint": 50, "scenecut": 0, "bframes": 0}
    data = with_insert(x264(**gop, qp=27) if kind == "h264" else x265(**gop, open_gop=1), 60, 85)

    def changed(index: int, packet: bytes) -> bytes:
        return retyped(packet, {1: 9}) if index == 60 else packet

    def early(index: int, pts: int) -> int:
        return pts - 11 * FRAME_TICKS + FRAME_TICKS // 2 if index == 60 else pts

    disguised = rewritten(data, changed) if "kind" in kind else retimed(data, early)
    segment = decoder.sample(disguised, profile=DENSE, seed=b"foreign")
    shown = [frame for frame in segment.frames if 61 <= round(frame.pts_seconds / FRAME_SECONDS) < 85]

    assert shown
    for frame in shown:
        assert np.abs(frame.picture.luma() - OTHER).mean() < np.abs(frame.picture.luma() - GROUND).mean() / 2


def retimed(data: bytes, stamp: Callable[[int, int], int]) -> bytes:
    """The MPEG-TS with other presentation times, and the same decoding times."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data), format="mpegts") as source, av.open(file, "w", format="mpegts") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            delay = 20 * FRAME_TICKS
            packet.pts, packet.stream = stamp(index, packet.pts) + delay, stream
            output.mux(packet)
    return file.getvalue()


def test_a_picture_that_says_none_leans_on_it_is_decoded_where_others_do(decoder: Decoder) -> None:
    """Those others would show the scene before, made up by the decoder without a word."""
    data = with_insert(X265, 45, 85)
    segment = decoder.sample(
        rewritten(data, lambda index, packet: retyped(packet, {1: 0})),
        profile=DENSE,
        seed=b"foreign",
    )
    shown = [frame for frame in segment.frames if 46 <= round(frame.pts_seconds / FRAME_SECONDS) < 85]

    assert shown
    for frame in shown:
        assert np.abs(frame.picture.luma() - OTHER).mean() < np.abs(frame.picture.luma() - GROUND).mean() / 2
