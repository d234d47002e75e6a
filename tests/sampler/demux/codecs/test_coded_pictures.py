"""Pictures that packets of AV1 and VP9 hold besides the one that each shows: they cost, and may be of another size."""

from dataclasses import replace

import pytest
from kinds import AV1, VP9
from media import Recipe, encode, steady
from mp4_packets import Coded, coded_in, mp4_of, superframe

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.demux.codecs.av1 import LEAST_PICTURE_BYTES, OBUS
from sampler.demux.codecs.other_heads import read_head
from sampler.demux.codecs.sizes import announced_pixels
from sampler.errors import TooLargeError

AV1_PICTURE, AV1_REPEAT, AV1_PADDING = b"\x32\x02\x30\x00", b"\x1a\x01\x88", b"\x7a\x00"
"""OBUs: a frame, a frame header that shows an earlier one again, and padding of no bytes."""
AV1_HEAD, AV1_TILES, AV1_COPY, AV1_COPIED_REPEAT = (
    b"\x1a\x02\x30\x00",
    b"\x22\x01\x00",
    b"\x3a\x02\x30\x00",
    b"\x3a\x01\x88",
)
"""A frame header, a group of its tiles, and redundant frame headers."""
VP9_PICTURE, VP9_HIDDEN, VP9_REPEAT = b"\x86\x00\x40\x92", b"\x84\x00\x40\x92", b"\x8a"
PICTURES = 50
LARGE = replace(AV1, width=640, height=360)


def crowd(data: bytes, number: int, copies: int) -> bytes:
    """An MP4 of AV1 with hidden pictures of one packet, so many of each."""
    packets = coded_in(data)
    packet, position, made = packets[number].data, 0, b""
    while position < len(packet):
        begin = position + 2
        size, shift = 0, 0
        while True:
            octet = packet[begin - 1 + shift // 7]
            size |= (octet & 0x7F) << shift
            shift += 7
            if not octet & 0x80:
                break
        end = begin - 1 + shift // 7 + size
        is_hidden = packet[position] >> 3 & 15 == 6 and not packet[end - size] & 0x90
        made += packet[position:end] * (copies if is_hidden else 1)
        position = end
    packets[number] = Coded(made, packets[number].keyframe)
    return mp4_of(packets, data)


@pytest.mark.parametrize(
    ("codec", "packet", "pictures"),
    [
        ("libdav1d", AV1_PICTURE, 1),
        ("libdav1d", AV1_PICTURE * 3 + AV1_REPEAT + AV1_PADDING, 3),
        ("libdav1d", AV1_REPEAT, 0),
        ("libdav1d", b"\x32\xff\xff", 0),
        ("libdav1d", AV1_HEAD + AV1_COPY + AV1_COPY + AV1_TILES, 1),
        ("libdav1d", AV1_COPY + AV1_TILES, 1),
        ("libdav1d", (AV1_COPY + AV1_TILES) * 3, 3),
        ("libdav1d", AV1_PICTURE + AV1_COPY + AV1_TILES, 2),
        ("libdav1d", AV1_REPEAT + AV1_COPY + AV1_TILES, 1),
        ("libdav1d", AV1_COPIED_REPEAT, 0),
        ("libdav1d", AV1_PADDING * OBUS + bytes(5 * LEAST_PICTURE_BYTES), 5),
        ("vp9", VP9_PICTURE, 1),
        ("vp9", VP9_REPEAT, 0),
        ("vp9", superframe(VP9_HIDDEN, VP9_HIDDEN, VP9_PICTURE), 3),
        ("vp9", superframe(VP9_HIDDEN, VP9_REPEAT), 1),
        ("h264", AV1_PICTURE * 3, 1),
    ],
)
def test_pictures_of_a_packet_are_counted(codec: str, packet: bytes, pictures: int) -> None:
    """Hidden ones would cost as much as those that are shown, and count for nothing."""
    assert read_head(codec, packet).pictures == pictures


@pytest.mark.parametrize("recipe", [AV1, VP9], ids=["av1", "vp9"])
def test_an_encoders_packets_hold_as_many_as_are_shown(recipe: Recipe) -> None:
    """Honest streams would be over the bound."""
    codec = {"libsvtav1": "libdav1d", "libvpx-vp9": "vp9"}[recipe.codec]
    counts = [read_head(codec, packet.data).pictures for packet in coded_in(encode(recipe, steady(PICTURES)))]

    assert PICTURES <= sum(counts) <= PICTURES + 2
    assert max(counts) < 8


def with_hidden(data: bytes) -> int:
    """The smallest packet that has hidden pictures."""
    sizes = {n: len(one.data) for n, one in enumerate(coded_in(data)) if read_head("libdav1d", one.data).pictures > 1}
    return min(sizes, key=sizes.__getitem__)


def test_sizes_behind_many_pictures_of_a_packet_are_reported_unread(decoder: Decoder) -> None:
    """Players may show a part of pictures by one of them, which would not be sampled."""
    data = encode(AV1, steady(PICTURES))

    assert "cropped" in decoder.sample(crowd(data, with_hidden(data), 20), profile=BALANCED, seed=b"crowd").notes
    assert "cropped" not in decoder.sample(crowd(data, with_hidden(data), 2), profile=BALANCED, seed=b"crowd").notes


def test_a_crowd_of_hidden_pictures_is_not_decoded(decoder: Decoder) -> None:
    """Each takes the time of one that is shown: 50,000 of them would kill the decoder after half a minute."""
    data = encode(LARGE, steady(PICTURES))
    hidden = with_hidden(data)
    segment = decoder.sample(crowd(data, hidden, 1_000), profile=BALANCED, seed=b"crowd")

    assert segment.frames
    assert segment.frames_decoded <= hidden
    assert {one.reason for one in segment.unmoderated} == {"budget"}


def test_a_crowd_in_the_first_packet_is_refused(decoder: Decoder) -> None:
    """The first picture is decoded whatever it costs, up to what an encoder may make of it."""
    first, second, *others = coded_in(encode(LARGE, steady(PICTURES)))
    packets = [Coded(first.data + second.data * 500, True), *others]

    with pytest.raises(TooLargeError):
        decoder.sample(mp4_of(packets, encode(LARGE, steady(PICTURES))), profile=BALANCED, seed=b"crowd")


def resized(*, shown: bool, width: int, height: int) -> bytes:
    """The head of a predicted picture of VP9 that has a size of its own (6.2)."""
    bits = "10" + "00" + "0" + "1" + ("1" if shown else "0") + "0"
    bits += ("" if shown else "0") + "00" + "0" * 8 + "0000" * 3 + "000"
    bits += f"{width - 1:016b}{height - 1:016b}"
    size = len(bits) // 8 + 8
    return int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")


@pytest.mark.parametrize("shown", [True, False])
def test_a_picture_that_grows_within_a_gop_counts_by_its_size(shown: bool) -> None:
    """A keyframe may be as small as a stamp, and what is predicted from it sixteen times as wide."""
    head = resized(shown=shown, width=4096, height=2160)

    assert announced_pixels("vp9", head) == 4096 * 2160
    assert announced_pixels("vp9", superframe(VP9_PICTURE, head)) == 4096 * 2160
    assert announced_pixels("vp9", VP9_PICTURE) == 0
