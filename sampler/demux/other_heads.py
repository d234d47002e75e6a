"""Properties of packets of codecs that have no NAL units: whether decoding may begin there, and how many pictures it
takes. Runs in the decoder child. Nothing here is trusted."""

import re
from collections.abc import Callable
from typing import Final

from sampler.demux import av1, vp9
from sampler.demux.picture_head import PictureHead

MPEG2_PICTURE, MPEG4_PICTURE = b"\x00\x00\x01\x00", b"\x00\x00\x01\xb6"
"""Start codes (ISO/IEC 13818-2, 6.2.3; ISO/IEC 14496-2, 6.2.5)."""
MPEG2_INTRA = 1
"""picture_coding_type, three bits behind the ten of temporal_reference. MPEG-4's is 0, in the first two bits."""
MPEG2_STRUCTURE: Final = re.compile(b"\x00\x00\x01\xb5[\x80-\x8f].(.)", re.DOTALL)
"""Extension of a picture's head up to picture_structure, in its last two bits (6.2.3.1)."""
MPEG2_FRAME = 3
"""picture_structure of a whole picture; others are of fields."""
FIELDS: Final = frozenset([1, 2])
"""The same of the upper and the lower one."""
MPEG_DECODERS: Final = frozenset(["mpeg2video", "mpeg4"])
"""Those of codecs of which a packet has one picture. Of several in a sample of an MP4 some make the first, some the
last, and some all."""


def read_head(codec: str, packet: bytes) -> PictureHead:
    """The properties of a packet's picture. No container is asked, for it may call each picture a keyframe.

    Args:
        codec: name of the decoder.
        packet: all of it.
    """
    count = COUNTERS.get(codec)
    return PictureHead(
        len(packet),
        reference=True,
        begins=codec in KEYFRAMES and KEYFRAMES[codec](packet),
        pictures=1 if count is None else count(packet),
    )


def _is_mpeg2_keyframe(packet: bytes) -> bool:
    _, _, picture = packet.partition(MPEG2_PICTURE)
    # Of several FFmpeg makes the last, which leans on what came before.
    return len(picture) > 1 and picture[1] >> 3 & 7 == MPEG2_INTRA and _mpeg2_pictures(packet) == 1


def _is_mpeg4_keyframe(packet: bytes) -> bool:
    _, _, picture = packet.partition(MPEG4_PICTURE)
    return len(picture) > 0 and not picture[0] >> 6


def _mpeg2_pictures(packet: bytes) -> int:
    """Pictures in a packet, up to two, of which one may be of two fields; heads alone cost nothing."""
    count = packet.count(MPEG2_PICTURE)
    if count == len(FIELDS):
        structures = MPEG2_STRUCTURE.findall(packet)
        return 1 if {structure[0] & MPEG2_FRAME for structure in structures} == FIELDS else count
    return min(count, 2)


def _mpeg4_pictures(packet: bytes) -> int:
    return min(packet.count(MPEG4_PICTURE), 2)


COUNTERS: dict[str, Callable[[bytes], int]] = {
    **dict.fromkeys(av1.DECODERS, av1.coded_pictures),
    **dict.fromkeys(vp9.DECODERS, vp9.coded_pictures),
    "mpeg2video": _mpeg2_pictures,
    "mpeg4": _mpeg4_pictures,
}
"""By decoder, how many pictures a packet codes: hidden ones, too."""
KEYFRAMES: dict[str, Callable[[bytes], bool]] = {
    **dict.fromkeys(av1.DECODERS, av1.is_keyframe),
    **dict.fromkeys(vp9.DECODERS, vp9.is_keyframe),
    "mpeg2video": _is_mpeg2_keyframe,
    "mpeg4": _is_mpeg4_keyframe,
}
"""By decoder: True if decoding may begin with a packet."""
