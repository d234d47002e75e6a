"""Clips with sound."""

import io
import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from media import RATE

SOUND_RATE, SOUND_SAMPLES = 48_000, 1_024
"""Samples a second, and of a packet of AAC."""


def with_sound(data: bytes, *, behind: bool, container: str = "mp4") -> bytes:
    """The MPEG-TS in another container with sound, among its pictures or all of it behind them, as in a long
    fragment."""
    file = io.BytesIO()
    # Else the muxer holds pictures back until sound comes.
    options = {"max_interleave_delta": "1"} if behind else {}
    with (
        av.open(io.BytesIO(data), format="mpegts") as source,
        av.open(file, "w", format=container, options=options) as output,
    ):
        pictures = [packet for packet in source.demux(video=0) if packet.size]
        stream = output.add_stream_from_template(source.streams.video[0])
        begin_seconds, *_, last_seconds = sorted(packet.pts * packet.time_base for packet in pictures)
        sound = output.add_stream("aac", rate=SOUND_RATE)
        packets = []
        for number in range(round((last_seconds - begin_seconds + Fraction(1, RATE)) * SOUND_RATE / SOUND_SAMPLES)):
            hum = np.sin(np.arange(SOUND_SAMPLES, dtype=np.float32) / 20)[np.newaxis]
            frame = av.AudioFrame.from_ndarray(hum, format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = SOUND_RATE, Fraction(1, SOUND_RATE)
            frame.pts = round(begin_seconds * SOUND_RATE) + number * SOUND_SAMPLES
            packets += sound.encode(frame)
        packets += sound.encode(None)
        for packet in pictures:
            packet.stream = stream
        both = [*pictures, *packets]
        for packet in both if behind else sorted(both, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    return file.getvalue()


def with_scattered_sound(data: bytes, count: int) -> bytes:
    """The MP4, without fragments, with so many packets of sound, of a byte each, at two far places in turn, in two
    seconds."""
    begin, moov = next((begin, content) for begin, kind, content in boxes(data) if kind == b"moov")
    far = box(b"mdat", bytes(FAR_BYTES))
    places = [begin + FAR_BYTES if number % 2 else begin + len(far) // 100 for number in range(count)]
    head = data[:begin] + far
    return head + box(b"moov", moov, sound_track(places, rate=count // 2))


FAR_BYTES = 600_000
"""Over twice what is read at once."""


def sound_track(
    places: Sequence[int],
    *,
    rate: int,
    chunk_samples: int = 1,
    sample_ticks: int = 1,
    edits: Sequence[tuple[int, int]] = (),
) -> bytes:
    """A track of samples of one byte (ISO/IEC 14496-12, 8.3 to 8.7).

    Args:
        places: of its chunks.
        rate: ticks a second.
        chunk_samples: samples of each chunk.
        sample_ticks: duration of a sample; only if it is 1 FFmpeg joins those of a chunk to packets.
        edits: duration and media time of each.
    """
    chunks, count = len(places), len(places) * chunk_samples
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    head = box(b"tkhd", struct.pack(">6I", 7, 0, 0, 9, 0, 0), bytes(16), matrix, bytes(8))
    entry = box(b".mp3", struct.pack(">6xH8xHHHHI", 1, 2, 16, 0, 0, 48_000 << 16))
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), entry),
        box(b"stts", struct.pack(">IIII", 0, 1, count, sample_ticks)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, chunk_samples, 1)),
        box(b"stsz", struct.pack(">III", 0, 1, count)),
        box(b"stco", struct.pack(f">II{chunks}I", 0, chunks, *places)),
    )
    here = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", struct.pack(">I", 1))))
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">6I", 0, 0, 0, rate, count * sample_ticks, 0x55C40000)),
        box(b"hdlr", bytes(8), b"soun", bytes(13)),
        box(b"minf", box(b"smhd", bytes(8)), here, table),
    )
    listed = [struct.pack(">IiI", duration, begin, 1 << 16) for duration, begin in edits]
    edit_list = box(b"edts", box(b"elst", struct.pack(">II", 0, len(listed)), *listed)) if edits else b""
    return box(b"trak", head, edit_list, media)


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of that kind."""
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)


def boxes(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Beginning, kind and content of each."""
    begin = 0
    while begin < len(data):
        size, kind = struct.unpack_from(">I4s", data, begin)
        yield begin, kind, data[begin + 8 : begin + size]
        begin += size
