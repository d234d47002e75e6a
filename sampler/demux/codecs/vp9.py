"""Pictures of a VP9 packet, and their sizes, by their uncompressed headers (VP9 bitstream specification, 6.2 and annex
B). Runs in the decoder child. Nothing here is trusted."""

from collections.abc import Iterator
from contextlib import suppress

from sampler.demux.codecs.bits import Bits, HeaderError

DECODERS = frozenset(["vp9", "libvpx-vp9"])
"""Decoders of VP9, as FFmpeg calls them."""
SYNC_CODE = 0x498342
RGB = 7
SUPERFRAME, SUPERFRAME_MASK = 0xC0, 0xE0
HEAD_BYTES = 32
"""As much of a picture is read."""
REFERENCES = 3


def pictures_in(packet: bytes) -> list[bytes]:
    """The beginning of each picture, as the packet's index has them; without an index there is one."""
    return [picture[:HEAD_BYTES] for picture in parted(packet)]


def parted(packet: bytes) -> list[bytes]:
    """Each picture, as the packet's index has them; without an index all of it."""
    mark = packet[-1] if packet else 0
    if mark & SUPERFRAME_MASK == SUPERFRAME:
        count, length_bytes = (mark & 7) + 1, (mark >> 3 & 3) + 1
        start = len(packet) - 2 - count * length_bytes
        if start >= 0 and packet[start] == mark:
            found, position = [], 0
            for at in range(start + 1, len(packet) - 1, length_bytes):
                size = int.from_bytes(packet[at : at + length_bytes], "little")
                found.append(packet[position : min(position + size, start)])
                position += size
            return found
    return [packet]


def coded_pictures(packet: bytes) -> int:
    """Pictures that decoding a packet takes, shown or hidden; those that it shows again are none."""
    return sum(map(_is_coded, pictures_in(packet)))


def is_keyframe(packet: bytes) -> bool:
    """True if a packet's first picture is a key frame."""
    picture = pictures_in(packet)[0]
    # show_existing_frame and frame_type, behind the profile.
    return bool(picture) and not picture[0] & (0x06 if picture[0] & 0x30 == 0x30 else 0x0C)


def _is_coded(picture: bytes) -> bool:
    """False if it repeats an earlier one (show_existing_frame)."""
    return not picture or not picture[0] & (0x04 if picture[0] & 0x30 == 0x30 else 0x08)


def _pixels_of(picture: bytes) -> int:
    """Its size, where its header has that; 0: it is that of a picture before, or makes no sense."""
    try:
        return _pixels(Bits(picture, escaped=False))
    except HeaderError:
        return 0


def sizes_in(packet: bytes) -> Iterator[int]:
    """Pixels of each picture of which a header in the packet tells the size."""
    return (pixels for picture in pictures_in(packet) if (pixels := _pixels_of(picture)))


def render_sizes_in(packet: bytes) -> list[tuple[int, int]]:
    """Width and height at which pictures of a packet want to be rendered, where they are not their own."""
    found: list[tuple[int, int]] = []
    for picture in pictures_in(packet):
        with suppress(HeaderError):
            bits = Bits(picture, escaped=False)
            if not _takes_over_size(bits):
                _size(bits)
            if bits.take(1):
                found.append((bits.take(16) + 1, bits.take(16) + 1))
    return found


def _pixels(bits: Bits) -> int:
    return 0 if _takes_over_size(bits) else _size(bits)


def _takes_over_size(bits: Bits) -> bool:
    """Reads a header up to where a size is; True: there is none, for it is that of a picture before.

    Raises:
        HeaderError: the picture repeats another one, or its header makes no sense.
    """
    bits.take(2)
    profile = bits.take(1) | bits.take(1) << 1
    bits.take(profile == 3)
    if bits.take(1):
        raise HeaderError
    is_inter, is_shown, is_resilient = bits.take(1), bits.take(1), bits.take(1)
    if is_inter:
        intra_only = 0 if is_shown else bits.take(1)
        bits.take(0 if is_resilient else 2)
        if not intra_only:
            bits.take(8 + 4 * REFERENCES)
            return any(bits.take(1) for _ in range(REFERENCES))
    if bits.take(24) != SYNC_CODE:
        raise HeaderError
    if not is_inter or profile:
        bits.take(profile >= 2)
        odd = profile % 2
        bits.take(odd if bits.take(3) == RGB else 1 + 3 * odd)
    bits.take(8 * is_inter)
    return False


def _size(bits: Bits) -> int:
    return (bits.take(16) + 1) * (bits.take(16) + 1)
