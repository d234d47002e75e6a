"""Packets of an MPEG-TS that FFmpeg gives nothing of, and that hls.js makes pictures of."""

import io
import struct
from collections.abc import Callable

import av
import pytest
from media import FRAME_TICKS, RATE, encode_pictures, number_in, painted, steady, x264
from ts_tables import section

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

SECOND = "second_video_stream"
VIDEO, OTHER, MAP = 0x100, 0x101, 0x1000
H264, HEVC, SOUND, AC3, METADATA = 0x1B, 0x24, 0x0F, 0x81, 0x15
HIDDEN = 512
RECIPE = x264(bframes=0, keyint=1000, min_keyint=1000, scenecut=0)
PICTURES = 2 * RATE
DELIMITER = b"\0\0\0\1\x09\xf0"
PAYLOAD_BYTES = 184
NOTHING, ADAPTATION, PAYLOAD = 0, 0x20, 0x10


def coded(first: int) -> list[bytes]:
    """Coded pictures that show the numbers from the first on."""
    data = encode_pictures(RECIPE, steady(PICTURES), lambda index: painted(RECIPE, first + index, first))
    with av.open(io.BytesIO(data), format="mpegts") as source:
        return [bytes(packet) for packet in source.demux(video=0) if packet.size]


SHOWN, OTHERS = coded(0), coded(HIDDEN)


def table(pid: int, kind: int, body: bytes, *, version: int = 0) -> bytes:
    """Packets with a table (2.4.4)."""
    payload = b"\0" + section(kind, version, body)
    parts = [payload[at : at + PAYLOAD_BYTES] for at in range(0, len(payload), PAYLOAD_BYTES)]
    return b"".join(
        struct.pack(">BHB", 0x47, (0 if number else 0x4000) | pid, PAYLOAD | version + number)
        + part.ljust(184, b"\xff")
        for number, part in enumerate(parts)
    )


def programme(*streams: tuple[int, int], version: int = 0, kind: int = 2, descriptors: bytes = b"") -> bytes:
    """A programme map with (stream_type, PID) of its streams."""
    entries = b"".join(struct.pack(">BHH", stream, 0xE000 | pid, 0xF000) for stream, pid in streams)
    head = struct.pack(">HH", 0xE000 | VIDEO, 0xF000 | len(descriptors)) + descriptors
    return table(MAP, kind, head + entries, version=version)


PROGRAMMES = table(0, 0, struct.pack(">HH", 1, 0xE000 | MAP))


def pes(picture: bytes, number: int, *, stream: int = 0xE0, size: int = 0) -> bytes:
    """A PES packet of a picture (2.4.3.6)."""
    ticks = 90_000 + number * FRAME_TICKS
    stamp = struct.pack(">BHH", 0x21 | ticks >> 29 & 0xE, (ticks >> 14 & 0xFFFE) | 1, (ticks << 1 & 0xFFFE) | 1)
    return b"\0\0\1" + struct.pack(">BHBBB", stream, size, 0x80, 0x80, 5) + stamp + picture


def packets(pid: int, data: bytes, *, control: int = PAYLOAD) -> bytes:
    """TS packets of a PES packet. Each says that it has what `control` does, and has a payload all the same."""
    parts = []
    for at in range(0, len(data), PAYLOAD_BYTES - 1):
        part = data[at : at + PAYLOAD_BYTES - 1]
        stuffing = PAYLOAD_BYTES - 1 - len(part)
        field = bytes([stuffing]) + (b"\0" + b"\xff" * (stuffing - 1) if stuffing else b"")
        said = control | ADAPTATION if control == PAYLOAD else control
        parts.append(struct.pack(">BHB", 0x47, (0 if at else 0x4000) | pid, said) + field + part)
    return b"".join(parts)


def stream(*parts: Callable[[int], bytes], head: bytes = PROGRAMMES + programme((H264, VIDEO))) -> bytes:
    """An MPEG-TS of parts that are made for each picture."""
    made = bytearray(head + b"".join(part(number) for number in range(PICTURES) for part in parts))
    counters: dict[int, int] = {}
    for at in range(0, len(made), 188):
        pid = (made[at + 1] & 0x1F) << 8 | made[at + 2]
        if pid in (VIDEO, OTHER):
            made[at + 3] |= counters.get(pid, 0) % 16
            counters[pid] = counters.get(pid, 0) + 1
    return bytes(made)


def shown(number: int) -> bytes:
    return packets(VIDEO, pes(SHOWN[number], number, size=65_000))


def changing_programmes(*, kind: int = 2, other: int = SOUND) -> bytes:
    """A map by which the second stream is sound, and after the first picture one by which it is the video."""
    later = programme((H264, OTHER), version=1, kind=kind)
    return stream(
        shown,
        lambda number: packets(OTHER, pes(OTHERS[number - 1], number)) if number else later,
        head=PROGRAMMES + programme((H264, VIDEO), (other, OTHER)),
    )


def changing_type(*, descriptors: bytes = b"") -> bytes:
    """The video of a stream gets another type, and goes on as before."""
    later = programme((HEVC, VIDEO), version=1, descriptors=descriptors)
    return stream(
        lambda number: later if number == 10 else b"",
        lambda number: packets(VIDEO, pes(OTHERS[number - 10] if number >= 10 else SHOWN[number], number)),
    )


def with_another_phase() -> bytes:
    """A sync byte is wrong, and the next one that FFmpeg finds is within that packet."""
    made = bytearray(stream(shown))
    made[188 * 20] = 0
    made[188 * 20 + 100] = 0x47
    return bytes(made)


UNSEEN = {
    "marked as padding": stream(shown, lambda number: packets(VIDEO, pes(OTHERS[number], number, stream=0xBE))),
    "in packets without anything": stream(
        shown, lambda number: packets(VIDEO, pes(OTHERS[number], number), control=NOTHING)
    ),
    "behind adaptation fields": stream(
        shown, lambda number: packets(VIDEO, pes(OTHERS[number], number), control=ADAPTATION)
    ),
    "of another PID, behind adaptation fields": stream(
        shown,
        lambda number: packets(OTHER, pes(OTHERS[number], number), control=ADAPTATION),
        lambda number: programme((H264, OTHER), version=1) if number == 1 else b"",
    ),
    "behind the end of a PES packet": stream(
        lambda number: packets(VIDEO, pes(DELIMITER + OTHERS[number], number, size=8 + len(DELIMITER))),
        lambda number: packets(VIDEO, pes(SHOWN[number], number)),
    ),
    "marked as padding in the next packet": stream(
        shown, lambda number: packets(VIDEO, b"\0\0\1") + packets(VIDEO, pes(OTHERS[number], number, stream=0xBE)[3:])
    ),
    "of what was sound before": changing_programmes(),
    "of what was sound before, by a table of another kind": changing_programmes(kind=0x40),
    "of what was another sound before, by a table of another kind": changing_programmes(kind=0x40, other=AC3),
    "of a type that changes": changing_type(),
    "of a type that changes by a map of two packets": changing_type(descriptors=b"\x80\xc8".ljust(202, b"\x55")),
    "out of step": with_another_phase(),
}
"""MPEG-TS by where its other pictures are."""


def sample(decoder: Decoder, data: bytes) -> SampledSegment:
    return decoder.sample(data, profile=BALANCED, seed=b"stray")


@pytest.mark.parametrize("name", UNSEEN)
def test_pictures_that_ffmpeg_passes_over_leave_all_unmoderated(decoder: Decoder, name: str) -> None:
    """Every viewer in a browser would see pictures that nobody here does, and all would count as moderated."""
    seen = sample(decoder, UNSEEN[name])
    numbers = [number_in(frame.picture.luma()) for frame in seen.frames]

    assert any(number >= HIDDEN for number in numbers) or [one.reason for one in seen.unmoderated] == [SECOND]


def test_packets_that_are_sent_twice_leave_all_unmoderated(decoder: Decoder) -> None:
    """FFmpeg and hls.js take both for parts of a picture; who leaves the second out sees pictures that nobody does
    here."""
    data = stream(lambda number: packets(VIDEO, pes(SHOWN[number], number)))
    several = [data[at : at + 188] for at in range(0, len(data), 188)]
    for part in (slice(-40, None), slice(-40, -39)):
        twice = [one * 2 for one in several[part]]
        seen = sample(decoder, b"".join([*several[: part.start], *twice, *several[part.stop or len(several) :]]))
        assert [one.reason for one in seen.unmoderated] == [SECOND]


def test_pictures_of_an_init_section_leave_all_unmoderated(decoder: Decoder) -> None:
    """They would count as part of every segment, and no player shows them."""
    data = stream(shown)
    for init, noted in ((PROGRAMMES + programme((H264, VIDEO)), False), (data, True)):
        seen = decoder.sample(data, init=init, profile=BALANCED, seed=b"stray")
        assert [one.reason for one in seen.unmoderated] == [SECOND] * noted


@pytest.mark.parametrize(
    "data",
    [
        stream(lambda number: packets(VIDEO, pes(SHOWN[number], number))),
        stream(shown),
        stream(
            lambda number: (
                packets(VIDEO, pes(SHOWN[number], number))
                + struct.pack(">BHBB", 0x47, VIDEO, ADAPTATION, 7).ljust(188, b"\xff")
                + struct.pack(">BHBB", 0x47, 0x1FFF, NOTHING, 7).ljust(188, b"\x01")
            )
        ),
        stream(
            lambda number: packets(VIDEO, pes(SHOWN[number], number)),
            lambda number: packets(OTHER, pes(b"ID3" * 9, number, stream=0xBD)),
            head=PROGRAMMES + programme((H264, VIDEO), (METADATA, OTHER)),
        ),
        stream(
            shown,
            lambda number: PROGRAMMES + programme((H264, VIDEO), (METADATA, OTHER), version=number % 8),
            lambda number: table(0x10, 0x40, bytes([number]) * 300) + table(0x14, 0x70, bytes([number])),
        ),
    ],
    ids=["plain", "with sizes", "clock and stuffing", "metadata", "tables"],
)
def test_ordinary_packets_are_moderated(decoder: Decoder, data: bytes) -> None:
    """Streams would be unmoderated for the way in which multiplexers write them."""
    seen = sample(decoder, data)

    assert SECOND not in seen.notes
    assert seen.unmoderated == ()
