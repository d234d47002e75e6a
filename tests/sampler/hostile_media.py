"""Segments of hostile or broken broadcasters: real media with defined damage."""

import struct
import wave
import zlib
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from media import FEW_THREADS
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 160, 96, 25
SAMPLE_RATE = 48_000
TS_PACKET_BYTES = 188
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
"""MP4 as in HLS: no offset counts from the file's beginning, so boxes in front may grow."""
ENCODERS = {
    "libx264": {"preset": "ultrafast", "sc_threshold": "0"},
    "libx265": {"x265-params": FEW_THREADS},
}
"""Options by encoder; others have none."""
KEY = "00112233445566778899aabbccddeeff"


@cache
def segment(
    container: str = "mpegts",
    *,
    seconds: float = 2.0,
    rate: int = RATE,
    video_streams: int = 1,
    audio_seconds: float = 0.0,
    video_from_seconds: float = 0.0,
    width: int = WIDTH,
    height: int = HEIGHT,
    encrypted: bool = False,
    codec: str = "libx264",
) -> bytes:
    """Video of a square moving over noise, a keyframe each second, with silence; MP4 is fragmented."""
    options = dict(FRAGMENTED) if container in ("mp4", "mov") else {}
    if video_from_seconds and options:
        # Without it the first fragment would begin at 0, and its first picture last until the second one.
        options["movflags"] += "+delay_moov"
    if encrypted:
        options |= {"encryption_scheme": "cenc-aes-ctr", "encryption_key": KEY, "encryption_kid": KEY}
    encoded = BytesIO()
    with av.open(encoded, "w", format=container, options=options) as output:
        videos: list[Any] = []
        for _ in range(video_streams):
            stream: Any = output.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = ENCODERS.get(codec, {}) | ({"g": str(rate)} if codec == "libx264" else {})
            videos.append(stream)
        sound: Any = output.add_stream("aac", rate=SAMPLE_RATE) if audio_seconds else None
        if sound is not None:
            for frame in _silence(audio_seconds, sound.layout.name):
                output.mux(sound.encode(frame))
        first = round(video_from_seconds * rate)
        for index in range(first, round(seconds * rate)):
            for stream in videos:
                output.mux(stream.encode(_picture(index, width, height)))
        for stream in [*videos, sound]:
            if stream is not None:
                output.mux(stream.encode())
    return encoded.getvalue()


@cache
def audio(container: str, codec: str = "aac") -> bytes:
    """A second of silence without video."""
    encoded = BytesIO()
    options = FRAGMENTED if container == "mp4" else {}
    with av.open(encoded, "w", format=container, options=options) as output:
        sound: Any = output.add_stream(codec, rate=SAMPLE_RATE)
        for frame in _silence(1.0, sound.layout.name, "s16p" if codec == "mp3" else "fltp"):
            output.mux(sound.encode(frame))
        output.mux(sound.encode())
    return encoded.getvalue()


@cache
def many_pictures(count: int, *, container: str = "mpegts", rate: int = 500, stuffing: bytes = b"") -> bytes:
    """`count` keyframes of 16×16: one encoded picture, repeated, with useless NAL units in front."""
    encoded = BytesIO()
    with av.open(BytesIO(segment(width=16, height=16, seconds=0.2))) as source:
        picture = stuffing + bytes(next(source.demux(video=0)))
    with av.open(encoded, "w", format=container, options=FRAGMENTED if container == "mp4" else {}) as output:
        stream: Any = output.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for index in range(count):
            packet = av.Packet(picture)
            packet.stream, packet.time_base = stream, Fraction(1, rate)
            packet.pts = packet.dts = index
            packet.is_keyframe = True
            output.mux(packet)
    return encoded.getvalue()


def wave_file() -> bytes:
    """A container that HLS does not use, though FFmpeg reads it."""
    encoded = BytesIO()
    with wave.open(encoded, "wb") as output:
        output.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        output.writeframes(bytes(SAMPLE_RATE))
    return encoded.getvalue()


def _silence(seconds: float, layout: str, sample_format: str = "fltp") -> list[av.AudioFrame]:
    frames = []
    for place in range(0, round(seconds * SAMPLE_RATE), 1024):
        frame = av.AudioFrame(format=sample_format, layout=layout, samples=1024)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = SAMPLE_RATE, place
        frames.append(frame)
    return frames


@cache
def _noise(width: int, height: int) -> NDArray[np.uint8]:
    """Noise, uint8, (height, width, 3): the same behind each picture."""
    return np.random.default_rng(7).integers(64, 192, (height, width, 3), np.uint8)


def _picture(index: int, width: int, height: int) -> av.VideoFrame:
    pixels = _noise(width, height).copy()
    left = index * 2 % max(width - 16, 1)
    pixels[height // 4 : height // 2, left : left + 16] = 255
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts = index
    return frame


def ts_packets(data: bytes, pid: int) -> list[int]:
    """Offsets of the TS packets of a PID."""
    return [
        start
        for start in range(0, len(data), TS_PACKET_BYTES)
        if int.from_bytes(data[start + 1 : start + 3], "big") & 0x1FFF == pid
    ]


def scrambled(data: bytes, pid: int = 0x100) -> bytes:
    """TS whose video is scrambled as by conditional access: control bits set, payloads unreadable."""
    changed = bytearray(data)
    noise = np.random.default_rng(3).integers(0, 256, TS_PACKET_BYTES, np.uint8).tobytes()
    for start in ts_packets(data, pid):
        adaptation = 1 + data[start + 4] if data[start + 3] & 0x20 else 0
        changed[start + 3] |= 0x80
        for place in range(start + 4 + adaptation, start + TS_PACKET_BYTES):
            changed[place] ^= noise[place - start]
    return bytes(changed)


def boxes_grown(data: bytes, path: tuple[bytes, ...], change: Callable[[bytes], bytes]) -> bytes:
    """MP4 with the content of the first box at `path` changed; the enclosing boxes grow with it."""
    start = 0
    while start < len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind == path[0]:
            content = data[start + 8 : start + length]
            content = boxes_grown(content, path[1:], change) if path[1:] else change(content)
            return data[:start] + struct.pack(">I4s", len(content) + 8, kind) + content + data[start + length :]
        start += length
    raise AssertionError(f"no box {path[0]!r}")


def naming_another(data: bytes, target: Path, kind: bytes) -> bytes:
    """MOV whose only track refers to samples in the file `target`: a `url ` or an `alis` data reference."""
    name = str(target).encode()
    if kind == b"url ":
        content = b"file://" + name + b"\0"
    else:
        # As FFmpeg's mov_read_dref reads an alias record: volume, file name, levels to walk, then tagged strings.
        content = struct.pack(">10xB27s12xB63s16xhh16x", 1, b"v", 1, b"f", 0, 0)
        content += struct.pack(">HH", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I4sI", 12 + len(content), kind, 0) + content
    path = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")
    return boxes_grown(data, path, lambda _: struct.pack(">II", 0, 1) + entry)


def bomb_png(width: int, height: int) -> bytes:
    """A valid PNG of black pixels, a thousandth of its unpacked size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(1)
    row = bytes(1 + width)
    body = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def still(extension: str) -> bytes:
    """A picture file of noise."""
    pixels = np.random.default_rng(5).integers(0, 256, (48, 64, 3), np.uint8)
    done, encoded = cv2.imencode(extension, pixels)
    assert done
    return bytes(encoded)


def init_and_fragments(data: bytes) -> tuple[bytes, bytes]:
    """A fragmented MP4 as in HLS: EXT-X-MAP and media segment."""
    start = data.index(b"moof") - 4
    return data[:start], data[start:]


def growing(container: str, codec: str) -> bytes:
    """Video that switches to pictures of four times the size after its first keyframe second."""
    small = segment(container, codec=codec, seconds=1.0)
    large = segment(container, codec=codec, seconds=1.0, width=2 * WIDTH, height=2 * HEIGHT)
    encoded = BytesIO()
    options = FRAGMENTED if container == "mp4" else {}
    with av.open(encoded, "w", format=container, options=options) as output, av.open(BytesIO(small)) as first:
        stream = output.add_stream_from_template(first.streams.video[0], opaque=True)
        with av.open(BytesIO(large)) as second:
            for place, source in enumerate((first, second)):
                for packet in source.demux(video=0):
                    if packet.size:
                        shift = place * round(1 / packet.time_base)
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = stream
                        output.mux(packet)
    return encoded.getvalue()


def entry_of_size(data: bytes, entry: bytes, width: int, height: int) -> bytes:
    """MP4 whose sample entry has another size than the stream (ISO/IEC 14496-12, 12.1.3)."""
    at = data.index(entry) + 28
    return data[:at] + struct.pack(">HH", width, height) + data[at + 4 :]


def of_colours(data: bytes, matrix: int) -> bytes:
    """MP4 with a `colr` box that names a matrix (ISO/IEC 14496-12, 12.1.5)."""
    return in_sample_entry(data, struct.pack(">I4s4s3HB", 19, b"colr", b"nclx", 1, 1, matrix, 0))


def in_sample_entry(data: bytes, box: bytes) -> bytes:
    """MP4 with one more box in its sample entry."""

    def with_box(table: bytes) -> bytes:
        (size,) = struct.unpack_from(">I", table, 8)
        return table[:8] + struct.pack(">I", size + len(box)) + table[12 : 8 + size] + box + table[8 + size :]

    return boxes_grown(data, (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"), with_box)


def with_damage(data: bytes, start: int, stop: int) -> bytes:
    """TS in which pictures [start, stop), in decoding order, are noise after the first bytes of their slices."""
    noise = np.random.default_rng(9).integers(4, 256, len(data), np.uint8).tobytes()
    encoded = BytesIO()
    with av.open(BytesIO(data)) as source, av.open(encoded, "w", format="mpegts") as output:
        stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
        pictures = (packet for packet in source.demux(video=0) if packet.size)
        for index, picture in enumerate(pictures):
            whole = bytes(picture)
            kept = whole.rindex(b"\0\0\1") + 6
            packet = av.Packet(whole[:kept] + noise[kept : len(whole)] if start <= index < stop else whole)
            packet.pts, packet.dts, packet.time_base = picture.pts, picture.dts, picture.time_base
            packet.is_keyframe, packet.stream = picture.is_keyframe, stream
            output.mux(packet)
    return encoded.getvalue()
