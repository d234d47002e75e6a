"""Facts read from H.264 and H.265 packets, against the encoder's settings."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds import CLOSED, HEVC, HEVC_OPEN_GOP, SAME, x265
from media import Recipe, encode, filtered, in_mp4, steady, x264

from sampler.demux.codecs.nal import NalCodec, NalReader
from sampler.demux.codecs.picture_head import PictureHead

PICTURES = 60
QUANTISER = 30
EVEN = {"qp": QUANTISER, "ipratio": 1, "pbratio": 1, "aq_mode": 0, "scenecut": 0}
"""x264 parameters for the same QP in every picture."""
SHORT = {"keyint": 20, "min_keyint": 20}
H264 = {
    "cabac": x264(**EVEN),
    "cavlc": x264(**EVEN, cabac=0),
    "weighted prediction": x264(**EVEN, preset="medium", weightp=2, weightb=1, bframes=3, ref=5),
    "many references": x264(**EVEN, preset="slower", bframes=5, b_pyramid="normal", ref=8),
    "slices": x264(**EVEN, slices=4),
    "zerolatency": x264(**EVEN, tune="zerolatency", preset="ultrafast"),
    "delimiters and picture timing": x264(**EVEN, aud=1, pic_struct=1),
    "interlaced": x264(**EVEN, tff=1),
    "scaling lists": x264(**EVEN, preset="medium", cqm="jvt"),
    "4:4:4": replace(x264(**EVEN), pixel_format="yuv444p"),
    "grey": replace(x264(**EVEN), pixel_format="gray"),
    "intra refresh": x264(**EVEN, intra_refresh=1, keyint=20, bframes=0),
    "open gop": x264(**EVEN, **SHORT, open_gop=1, bframes=3),
}
CONTAINERS: dict[str, Callable[[Recipe], Recipe]] = {"mpeg-ts": replace, "mp4": in_mp4}
"""Start codes, and parameter sets in the stream; or lengths, and parameter sets in the header."""
REFERENCES = {
    "h264": x264(bframes=3, b_pyramid="none", **CLOSED),
    "h264, pyramid": x264(bframes=5, b_pyramid="normal", **CLOSED),
    "hevc": HEVC,
    "hevc, open gop": HEVC_OPEN_GOP,
    "hevc, flat": x265(b_pyramid=0),
    "hevc, temporal layers": x265(temporal_layers=3, bframes=3),
}


@dataclass(frozen=True, kw_only=True)
class Packet:
    """A packet from the demuxer."""

    data: bytes
    flagged: bool
    seconds: Fraction


def packets_of(data: bytes) -> tuple[bytes, list[Packet]]:
    """Extradata, and packets in decoding order."""
    with av.open(io.BytesIO(data)) as source:
        stream = source.streams.video[0]
        found = [
            Packet(data=bytes(packet), flagged=packet.is_keyframe, seconds=packet.pts * packet.time_base)
            for packet in source.demux(stream)
            if packet.size and packet.pts is not None
        ]
        return stream.codec_context.extradata or b"", found


def codec_of(recipe: Recipe) -> NalCodec:
    return NalCodec.HEVC if recipe.codec == "libx265" else NalCodec.H264


def heads_of(recipe: Recipe, data: bytes) -> list[PictureHead]:
    """The facts of each packet, in decoding order."""
    extradata, packets = packets_of(data)
    reader = NalReader(codec_of(recipe), extradata)
    return [reader.read(packet.data) for packet in packets]


@cache
def sample_packets(codec: NalCodec) -> tuple[bytes, ...]:
    """Real packets to be damaged."""
    recipe = HEVC if codec is NalCodec.HEVC else x264(**EVEN, aud=1)
    return tuple(packet.data for packet in packets_of(encode(recipe, steady(8)))[1])


@pytest.mark.parametrize("wrap", CONTAINERS.values(), ids=CONTAINERS.keys())
@pytest.mark.parametrize("recipe", H264.values(), ids=H264.keys())
def test_the_quantiser_is_the_encoders(recipe: Recipe, wrap: Callable[[Recipe], Recipe]) -> None:
    """Under tight rate control a cut shows only in the quantiser: misread, cuts would be missed, or found
    everywhere."""
    heads = heads_of(recipe, encode(wrap(recipe), steady(PICTURES)))

    assert {head.quantiser for head in heads} == {QUANTISER}


def test_each_picture_type_has_its_own_quantiser() -> None:
    """A quantiser taken from the parameter set, not from the slice, would be blind to rate control."""
    recipe = x264(qp=QUANTISER, scenecut=0, bframes=3, b_pyramid="none", **SHORT)
    heads = heads_of(recipe, encode(recipe, steady(PICTURES)))

    # x264 gives I pictures a 1.4 times finer, and B pictures a 1.3 times coarser quantiser than P pictures.
    assert {head.quantiser for head in heads if head.begins} == {QUANTISER - 3}
    assert {head.quantiser for head in heads if not head.reference} == {QUANTISER + 2}
    assert {head.quantiser for head in heads if head.reference and not head.begins} == {QUANTISER}


def test_ten_bit_quantisers_may_be_negative() -> None:
    """10-bit streams would have no quantiser."""
    recipe = replace(x264(**EVEN | {"qp": 8}), pixel_format="yuv420p10le")
    heads = heads_of(recipe, encode(recipe, steady(10)))

    # x264 counts from 0, the standard from -12 (H.264, 7.4.3: QpBdOffset).
    assert {head.quantiser for head in heads} == {8 - 12}


@pytest.mark.parametrize("wrap", CONTAINERS.values(), ids=CONTAINERS.keys())
@pytest.mark.parametrize("recipe", REFERENCES.values(), ids=REFERENCES.keys())
def test_pictures_marked_as_leaves_are_not_referenced(recipe: Recipe, wrap: Callable[[Recipe], Recipe]) -> None:
    """Pictures left out of decoding would leave smears in those that reference them."""
    data = encode(wrap(recipe), steady(PICTURES))
    heads = heads_of(recipe, data)
    whole = decoded(data, range(PICTURES))
    thinned = decoded(data, [place for place, head in enumerate(heads) if head.reference])

    assert len(thinned) == sum(head.reference for head in heads)
    assert len(thinned) <= PICTURES * 3 / 4
    for stamp, luma in thinned.items():
        assert np.abs(luma - whole[stamp]).mean() < SAME / 4


def decoded(data: bytes, places: Sequence[int]) -> dict[int, np.ndarray]:
    """Luma by time stamp, decoded from the packets at these places, in decoding order."""
    pictures = {}
    with av.open(io.BytesIO(data)) as source:
        stream = source.streams.video[0]
        stream.thread_count = 1
        packets = [packet for packet in source.demux(stream) if packet.size]
        for packet in [*(packets[place] for place in places), None]:
            for frame in stream.codec_context.decode(packet):
                pictures[frame.pts] = frame.to_ndarray(format="gray").astype(int)
    return pictures


@pytest.mark.parametrize("wrap", CONTAINERS.values(), ids=CONTAINERS.keys())
@pytest.mark.parametrize(
    "recipe",
    [x264(**SHORT, bframes=3), x264(**SHORT, open_gop=1, bframes=3), x265(**SHORT, open_gop=0), x265(**SHORT)],
    ids=["h264", "h264, open gop", "hevc", "hevc, open gop"],
)
def test_decoding_starts_where_the_encoder_allows_it(recipe: Recipe, wrap: Callable[[Recipe], Recipe]) -> None:
    """Each GOP would be decoded from the previous one, or from a picture whose references are missing."""
    data = encode(wrap(recipe), steady(PICTURES))
    _, packets = packets_of(data)
    heads = heads_of(recipe, data)

    assert sum(head.begins for head in heads) == PICTURES // 20
    assert [head.begins for head in heads] == [packet.flagged for packet in packets]
    assert all(head.reference for head in heads if head.begins)


def test_a_predicted_picture_is_no_keyframe_whatever_the_container_says() -> None:
    """If a broadcaster flags every picture as a keyframe, all samples would be smeared."""
    for recipe in (x264(bframes=0, **CLOSED), HEVC):
        extradata, packets = packets_of(encode(recipe, steady(20)))
        reader = NalReader(codec_of(recipe), extradata)
        heads = [reader.read(packet.data) for packet in packets]

        assert [head.begins for head in heads] == [True] + [False] * 19


@pytest.mark.parametrize("wrap", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_recovery_points_mark_when_pictures_are_correct(wrap: Callable[[Recipe], Recipe]) -> None:
    """A stream with intra refresh could not be joined anywhere, or would be trusted while it is half smeared."""
    recipe = x264(intra_refresh=1, keyint=20, bframes=0, scenecut=0)
    heads = heads_of(recipe, encode(wrap(recipe), steady(PICTURES)))
    points = {place: head.recovery_frames for place, head in enumerate(heads) if head.recovery_frames is not None}

    assert set(points) == {20, 40}
    assert all(0 < frames <= 192 // 16 for frames in points.values() if frames is not None)
    assert [place for place, head in enumerate(heads) if head.begins] == [0]


def test_filler_does_not_count_as_picture_data() -> None:
    """By padding, a broadcaster could make all packets equally large, and hide every cut."""
    recipe = x264(nal_hrd="cbr", filler=1, bitrate=2000, vbv_maxrate=2000, vbv_bufsize=1000, bframes=0, aud=1, **CLOSED)
    padded = encode(recipe, steady(PICTURES))
    bare = filtered(padded, "filter_units=remove_types=12")
    sizes = [[head.size_bytes for head in heads_of(recipe, data)] for data in (padded, bare)]

    assert len(padded) > 1.5 * len(bare)
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("recipe", [x264(slices=4, aud=1, **CLOSED), x265(slices=2, aud=1)], ids=["h264", "hevc"])
def test_the_size_is_that_of_the_slices(recipe: Recipe) -> None:
    """Repeated parameter sets and messages would look like new content."""
    data = encode(recipe, steady(30))
    slices = "1-5" if recipe.codec == "libx264" else "0-31"
    _, bare = packets_of(filtered(data, f"filter_units=pass_types={slices}"))
    start_codes = [packet.data.count(b"\0\0\1") for packet in bare]

    for head, packet, count in zip(heads_of(recipe, data), bare, start_codes, strict=True):
        if not head.begins:  # there FFmpeg's muxer puts the parameter sets back
            assert head.size_bytes == pytest.approx(len(packet.data), abs=8 * count)


@pytest.mark.parametrize(("width", "height"), [(192, 108), (164, 92), (320, 178)])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_the_picture_size_is_known_before_decoding(width: int, height: int, interlaced: int) -> None:
    """Pictures over the limit would be decoded before they are refused."""
    recipe = replace(x264(tff=interlaced), pixel_format="yuv444p", width=width, height=height)
    extradata, packets = packets_of(encode(recipe, steady(3)))
    reader = NalReader(NalCodec.H264, extradata)
    for packet in packets:
        reader.read(packet.data)

    assert width * height <= reader.picture_pixels <= (width + 15) * (height + 31)


@pytest.mark.parametrize("codec", NalCodec)
@given(extradata=st.binary(max_size=80), packets=st.lists(st.binary(max_size=300), max_size=4))
def test_garbage_raises_nothing(codec: NalCodec, extradata: bytes, packets: list[bytes]) -> None:
    """One bad packet would end the segment, and the rest of it would go unseen."""
    reader = NalReader(codec, extradata)
    for packet in [*packets, b"\0\0\1" + b"".join(packets)]:
        head = reader.read(packet)

        assert 0 <= head.size_bytes <= len(packet)
        assert head.recovery_frames is None or head.recovery_frames >= 0


@pytest.mark.parametrize("codec", NalCodec)
@given(data=st.data())
def test_damage_raises_nothing(codec: NalCodec, data: st.DataObject) -> None:
    """A flipped bit in a parameter set would do the same, or keep the child busy for ever."""
    reader = NalReader(codec, b"")
    for original in sample_packets(codec):
        packet = bytearray(original)
        for _ in range(data.draw(st.integers(0, 4))):
            packet[data.draw(st.integers(0, min(len(packet), 200) - 1))] = data.draw(st.integers(0, 255))
        head = reader.read(bytes(packet))

        assert 0 <= head.size_bytes <= len(packet)
        assert head.quantiser is None or abs(head.quantiser) < 2**16
