"""Properties of a packet's picture, by its own coding."""

from typing import NamedTuple


class PictureHead(NamedTuple):
    """Properties of a packet's picture. A tuple, for one is made of every packet."""

    size_bytes: int
    """Bytes of slices. Filler and messages are not picture: with them a broadcaster could make all packets alike."""
    reference: bool
    """True if other pictures may be predicted from this one."""
    begins: bool
    """True if decoding may begin here, by the picture's own coding: all of it is intra."""
    recovery_frames: int | None = None
    """Count of a recovery point SEI (H.264 D.2.8): so many pictures later all is right."""
    quantiser: int | None = None
    """QP that the first slice begins with; H.264 only."""
    completes: bool = False
    """True if it is the second field of the picture whose first one the packet before holds; H.264 only."""
    leading: bool | None = None
    """True if it may lean on what comes before the keyframe that it follows; None: its time shows whether. Of H.264
    True where its order says so, for FFmpeg's HLS muxer stamps a keyframe as shown before its leading pictures."""
    outside: bool = False
    """It does lean on a picture before that keyframe, by its own words, though it is none of its leading pictures."""
    unread_units: int = 0
    """NAL units of the packet that were not read, up to about `MOST_COUNTED_UNITS`: FFmpeg reads them all."""
    pictures: int = 1
    """Pictures that decoding the packet takes: hidden ones besides the one that it shows, or none where it shows one
    again."""
