"""The container format, found from the bytes alone. Names and MIME types are the broadcaster's claim."""

from enum import StrEnum

from config.counts import counted
from sampler.errors import AudioOnlyError, EmptyInputError, TruncatedError, UnsupportedContainerError

SNIFF_BYTES = 64 << 10
"""As much of the beginning as `sniff` needs: an ID3 tag (a few hundred bytes with HLS) and three TS packets."""

TS_PACKET_BYTES = 188
TS_SYNC = 0x47
ID3_HEADER_BYTES = 10
MP4_BOXES = frozenset(
    (b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"free", b"skip", b"wide", b"mdat")
)
"""Boxes that begin an MP4 file or fragment (ISO/IEC 14496-12; RFC 8216, section 3.3)."""


class Container(StrEnum):
    """Containers that we open; each value is the name of FFmpeg's demuxer, which we force."""

    MPEG_TS = "mpegts"
    MP4 = "mp4"


def sniff(head: bytes) -> Container:
    """The container whose first `SNIFF_BYTES` bytes (or all, if fewer) are `head`.

    Raises:
        EmptyInputError: there is nothing.
        AudioOnlyError: packed audio (ADTS, MP3, AC-3, E-AC-3, with or without ID3) or WebVTT.
        TruncatedError: it begins like a container, and is shorter than its first unit.
        UnsupportedContainerError: anything else.
    """
    if not head:
        raise EmptyInputError("the segment is empty: expected MPEG-TS or MP4")
    if _is_mpeg_ts(head):
        return Container.MPEG_TS
    if head[4:8] in MP4_BOXES:
        return Container.MP4
    body = head[_id3_bytes(head) :]
    if _is_packed_audio(body) or (head[:3] == b"ID3" and not body):
        raise AudioOnlyError("the segment is packed audio: there are no pictures in it")
    if head.removeprefix(b"\xef\xbb\xbf").startswith(b"WEBVTT"):
        raise AudioOnlyError("the segment is WebVTT subtitles: there are no pictures in it")
    if head[0] == TS_SYNC and len(head) < TS_PACKET_BYTES:
        raise TruncatedError(f"the segment ends after {counted(len(head), 'byte')}, within its first TS packet")
    if head.lstrip()[:1] == b"<":
        raise UnsupportedContainerError("the segment is HTML or XML: expected MPEG-TS or MP4")
    raise UnsupportedContainerError("the segment is not in a container that HLS carries: expected MPEG-TS or MP4")


def _is_mpeg_ts(head: bytes) -> bool:
    """True if sync bytes stand where the first packets begin (as many of three as there are)."""
    starts = range(0, min(len(head), 3 * TS_PACKET_BYTES), TS_PACKET_BYTES)
    return len(head) >= TS_PACKET_BYTES and all(head[start] == TS_SYNC for start in starts)


def _id3_bytes(head: bytes) -> int:
    """Length of the ID3v2 tag in front (RFC 8216, section 3.4), 0 without one."""
    if head[:3] != b"ID3" or len(head) < ID3_HEADER_BYTES:
        return 0
    size = 0
    for octet in head[6:10]:
        size = size << 7 | octet & 0x7F
    return ID3_HEADER_BYTES + size


def _is_packed_audio(body: bytes) -> bool:
    """True if an ADTS, MPEG audio, AC-3 or E-AC-3 frame begins here."""
    if len(body) < 4:
        return False
    if body[:2] == b"\x0b\x77":
        return True
    synced = body[0] == 0xFF and body[1] & 0xE0 == 0xE0
    layer, bit_rate = body[1] >> 1 & 3, body[2] >> 4
    is_adts = body[1] & 0xF6 == 0xF0
    return synced and (is_adts or (layer != 0 and bit_rate != 0xF))
