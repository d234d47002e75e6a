"""Properties of packets of codecs that have no NAL units: whether decoding may begin there, and how many pictures it
takes. Runs in the decoder child. Nothing here is trusted."""

from collections.abc import Callable

from sampler.demux import av1, vp9
from sampler.demux.picture_head import PictureHead

MPEG2_PICTURE, MPEG4_PICTURE = b"\x00\x00\x01\x00", b"\x00\x00\x01\xb6"
"""Start codes (ISO/IEC 13818-2, 6.2.3; ISO/IEC 14496-2, 6.2.5)."""
MPEG2_INTRA = 1
"""picture_coding_type, three bits behind the ten of temporal_reference. MPEG-4's is 0, in the first two bits."""


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
    return len(picture) > 1 and picture[1] >> 3 & 7 == MPEG2_INTRA


def _is_mpeg4_keyframe(packet: bytes) -> bool:
    _, _, picture = packet.partition(MPEG4_PICTURE)
    return len(picture) > 0 and not picture[0] >> 6


COUNTERS: dict[str, Callable[[bytes], int]] = {
    **dict.fromkeys(av1.DECODERS, av1.coded_pictures),
    **dict.fromkeys(vp9.DECODERS, vp9.coded_pictures),
}
"""By decoder, where a packet may have hidden pictures besides the one that it shows: how many it codes."""
KEYFRAMES: dict[str, Callable[[bytes], bool]] = {
    **dict.fromkeys(av1.DECODERS, av1.is_keyframe),
    **dict.fromkeys(vp9.DECODERS, vp9.is_keyframe),
    "mpeg2video": _is_mpeg2_keyframe,
    "mpeg4": _is_mpeg4_keyframe,
}
"""By decoder: True if decoding may begin with a packet."""
