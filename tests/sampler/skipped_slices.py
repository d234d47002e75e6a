"""Slices that decoders skip, put into the pictures of an MP4: their headers say what is not so of the picture."""

import io
from collections.abc import Callable, Iterable
from fractions import Fraction

import av
from fields import BitWriter

SLICE, IDR = 1, 5
P_SLICE = 5
"""slice_type: all slices of the picture are P."""


def unit(writer: BitWriter, head: int) -> bytes:
    """The NAL unit without its start code."""
    return writer.unit(head)[4:]


class Header:
    """Reads the bits of a NAL unit."""

    def __init__(self, unit: bytes) -> None:
        bits = "".join(format(octet, "08b") for octet in unit[1:].replace(b"\0\0\3", b"\0\0"))
        self.bits = bits[: bits.rindex("1")]
        self.position = 0

    def u(self, count: int) -> int:
        self.position += count
        return int(self.bits[self.position - count : self.position] or "0", 2)

    def ue(self, count: int = 1) -> int:
        value = 0
        for _ in range(count):
            zeros = self.bits.index("1", self.position) - self.position
            self.position += zeros
            value = self.u(zeros + 1) - 1
        return value

    def with_one(self, head: int, *, in_place: bool) -> bytes:
        """The unit with a bit of 1 there, in place of the next one or before it."""
        bits = self.bits[: self.position] + "1" + self.bits[self.position + in_place :]
        writer = BitWriter()
        writer.put(int(bits, 2), len(bits))
        return unit(writer, head)


class Sequence:
    """Widths of fields in the slice headers of a stream, by its SPS."""

    def __init__(self, sps: bytes) -> None:
        header = Header(sps)
        profile = header.u(8)
        header.u(16)
        header.ue()
        if profile == 100:
            header.ue(3)
            header.u(2)
        self.number_bits = header.ue() + 4
        self.order_bits = header.ue() + 4 if not header.ue() else 0
        header.ue()
        self.with_gaps = header.with_one(sps[0], in_place=True)
        """The SPS that allows gaps in frame_num."""


def with_redundant_pictures(pps: bytes) -> bytes:
    """A PPS of x264, of CAVLC, by which slices say whether they are redundant."""
    header = Header(pps)
    header.ue(2)
    header.u(2)
    header.ue(3)
    header.u(3)
    header.ue(3)
    header.u(2)
    return header.with_one(pps[0], in_place=True)


def saying_primary(coded: bytes, sequence: Sequence) -> tuple[bytes, int]:
    """A slice of a stream with that PPS that says it is not redundant, and its frame_num."""
    header = Header(coded)
    header.ue(3)
    number = header.u(sequence.number_bits)
    if coded[0] & 0x1F == IDR:
        header.ue()
    header.u(sequence.order_bits)
    return header.with_one(coded[0], in_place=False), number


def redundant(number: int, sequence: Sequence, *, padding_bytes: int = 0) -> bytes:
    """A slice of a redundant picture that says no other leans on it."""
    writer = BitWriter()
    writer.ue(0, P_SLICE, 0)
    writer.put(number, sequence.number_bits)
    if sequence.order_bits:
        writer.put(0, sequence.order_bits)
    writer.ue(1)
    writer.put(0, 2)
    writer.ue(0, 1, 107)
    for _ in range(padding_bytes):
        writer.put(0x5A, 8)
    return unit(writer, SLICE)


def outside_of_the_picture(number: int, sequence: Sequence, *, bottom: bool | None = None) -> bytes:
    """A slice that begins beyond the picture's end; `bottom`: of such a field."""
    writer = BitWriter()
    writer.ue(50_000, P_SLICE, 0)
    writer.put(number, sequence.number_bits)
    if bottom is not None:
        writer.put(2 + bottom, 2)
    if sequence.order_bits:
        writer.put(0, sequence.order_bits)
    writer.ue(0, 107, 107)
    return unit(writer, 0x40 | SLICE)


def units(picture: bytes) -> list[bytes]:
    """The NAL units of a picture in an MP4."""
    found = []
    while picture:
        size = int.from_bytes(picture[:4], "big")
        found.append(picture[4 : 4 + size])
        picture = picture[4 + size :]
    return found


def joined(units: Iterable[bytes]) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def parameter_sets(data: bytes) -> list[bytes]:
    """The SPS and PPS of an MP4's record (ISO/IEC 14496-15, 5.3.3.1)."""
    with av.open(io.BytesIO(data)) as source:
        record = source.streams.video[0].codec_context.extradata
    assert record is not None
    size = int.from_bytes(record[6:8], "big")
    return [record[8 : 8 + size], record[11 + size : 11 + size + int.from_bytes(record[9 + size : 11 + size], "big")]]


def rewritten_mp4(
    data: bytes, sets: list[bytes], change: Callable[[int, list[bytes]], list[bytes]], *, ticks: Callable[[int], int]
) -> bytes:
    """The fragmented MP4 with other parameter sets and pictures: `change(index, units)`, shown from `ticks(index)` on,
    in milliseconds."""
    file = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    sps, pps = sets
    record = (
        b"\1" + sps[1:4] + b"\xff\xe1" + len(sps).to_bytes(2, "big") + sps + b"\1" + len(pps).to_bytes(2, "big") + pps
    )
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format="mp4", options=options) as output:
        stream = source.streams.video[0]
        written = output.add_stream_from_template(stream)
        written.codec_context.extradata = record
        for index, packet in enumerate(packet for packet in source.demux(stream) if packet.size):
            one = av.Packet(joined(change(index, units(bytes(packet)))))
            one.pts = one.dts = ticks(index)
            one.time_base, one.stream, one.is_keyframe = Fraction(1, 1000), written, packet.is_keyframe
            output.mux(one)
    return file.getvalue()
