"""A second decoder beside the stream's own, for codecs of which players use two that read packets otherwise. Runs in
the decoder child.

FFmpeg's decoder of VP9, which Firefox has too, takes a packet for one picture unless its index says more. libvpx, which
Chromium has, goes on where the picture ended: what comes there is decoded, and shown in its place.
"""

from collections import deque
from collections.abc import Sequence
from typing import cast

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from sampler.decode.bounded_decoding import BoundedDecoding
from sampler.decode.cells import Cells, cells_of
from sampler.demux.packet_reader import PacketWindow

SECOND_DECODERS = {"vp9": "libvpx-vp9", "libvpx-vp9": "vp9"}
"""By the stream's own decoder, as FFmpeg calls them."""
SAME_LEVELS = 4.0
"""Levels of 256 by which no measure of a cell differs (>) where both decode the same. They agree to the bit on streams
of libvpx and of Chromium, temporal layers and pictures predicted from larger and smaller ones among them; the standard
leaves nothing to decoders."""


class DecoderComparison:
    """Pictures of a run as a second decoder makes them, beside those of the stream's own."""

    def __init__(self, decoder: BoundedDecoding, window: PacketWindow, indices: Sequence[int]) -> None:
        """Takes the second decoder, between two runs, and the packets of the run that are decoded."""
        self._decoder = decoder
        self._window = window
        self._left = deque(indices)
        self.differs = False
        """A picture was another one than the stream's own decoder made."""
        self.other: VideoFrame | None = None
        """That picture; None: there was none."""
        self.fails = False
        """It refused a packet: those after it lean on what it has not."""
        self.frames_decoded = 0

    def look(self, index: int, own: VideoFrame, cells: Cells) -> None:
        """Decodes up to a packet of which the stream's own decoder made a picture, with these cells."""
        frame: VideoFrame | None = None
        while self._left and self._left[0] <= index and not self.fails and not self.differs:
            frame = self._decoded(self._left.popleft(), index)
        if not self.fails and not self.differs:
            # Without a picture of this packet a player goes on with the one before.
            self.differs = (
                frame is None
                or (frame.width, frame.height) != (own.width, own.height)
                or bool(np.abs(cells_of(frame) - cells).max() > SAME_LEVELS)
            )
            self.other = frame if self.differs else None

    def _decoded(self, at: int, index: int) -> VideoFrame | None:
        """Decodes a packet; returns the picture of packet `index`, if there is one."""
        payload = self._window.payloads[at]
        payload.pts = at
        self.frames_decoded += 1
        try:
            frames = self._decoder.decode(payload, self._window.packets[at].pictures)
        except (av.error.FFmpegError, ValueError):
            self.fails = True
            return None
        return next((frame for frame in reversed(frames) if frame.pts == index), None)


def second_decoder(like: VideoCodecContext) -> BoundedDecoding | None:
    """The second decoder of a stream, not yet opened; None: players have but one, or it is not there.

    Args:
        like: the stream's own, not yet opened.
    """
    name = SECOND_DECODERS.get(like.name)
    if name is None:
        return None
    try:
        context = cast(VideoCodecContext, av.CodecContext.create(name, "r"))
    except UnknownCodecError:
        return None
    context.extradata = like.extradata
    return BoundedDecoding(context, like=like)
