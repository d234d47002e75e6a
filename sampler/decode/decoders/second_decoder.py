"""A second decoder beside the stream's own, for codecs of which players use two that read packets otherwise. Runs in
the decoder child.

FFmpeg's decoder of VP9, which Firefox has too, takes a packet for one picture unless its index says more. libvpx, which
Chromium has, goes on where the picture ended: what comes there is decoded, and shown in its place.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from sampler.decode.decoders.bounded_decoding import BoundedDecoding, PictureDecoder
from sampler.decode.decoders.libvpx import LIBRARY, LibvpxDecoder
from sampler.decode.decoders.run_decoder import RunDecoder
from sampler.decode.scenes.cells import Cells, cells_of
from sampler.demux.packet_window import PacketWindow
from sampler.plan.run_plan import Decoding

SECOND_DECODERS = {"vp9": "libvpx-vp9", "libvpx-vp9": "vp9"}
"""By the stream's own decoder, as FFmpeg calls them."""
SAME_LEVELS = 4.0
"""Levels of 256 by which no measure of a cell differs (>) where both decode the same. They agree to the bit on streams
of libvpx and of Chromium, temporal layers and pictures predicted from larger and smaller ones among them; the standard
leaves nothing to decoders."""


class SecondDecoder:
    """The second decoder of a stream: it decodes runs alone, or beside the stream's own."""

    def __init__(self, context: PictureDecoder, *, max_pixels: int) -> None:
        """Takes over a context, not yet opened."""
        self._bounded = BoundedDecoding(context)
        self._compared_frames = 0
        self.alone = RunDecoder(context, max_pixels=max_pixels, bounded=self._bounded)
        self.alone.set_up(thrifty=False)
        self.differs = False
        """True once it made another picture than the stream's own decoder."""

    @property
    def frames_decoded(self) -> int:
        """Pictures decoded, alone or for comparison."""
        return self.alone.frames_decoded + self._compared_frames

    def takes(self, decoding: Decoding) -> bool:
        """True if it decodes a run alone. Once both differ it shows what most players do."""
        return decoding is Decoding.SECOND or (decoding is Decoding.BOTH and self.differs)

    def beside(self, window: PacketWindow, indices: Sequence[int]) -> "DecoderComparison":
        """Begins to decode packets of a run beside the stream's own decoder."""
        return DecoderComparison(self, window, indices)

    def decode(self, payload: "Packet[VideoStream]", pictures: int) -> list[VideoFrame]:
        """Decodes a packet for comparison, as `BoundedDecoding.decode`."""
        self._compared_frames += 1
        return self._bounded.decode(payload, pictures)


class DecoderComparison:
    """Pictures of a run as a second decoder makes them, beside those of the stream's own."""

    def __init__(self, decoder: SecondDecoder, window: PacketWindow, indices: Sequence[int]) -> None:
        """Takes the second decoder, between two runs, and the packets of the run that are decoded."""
        self._decoder = decoder
        self._window = window
        self._left = deque(indices)
        self.fails = False
        """It refused a packet: those after it lean on what it has not."""

    def other(self, index: int, own: VideoFrame, cells: Cells) -> VideoFrame | None:
        """Decodes up to a packet of which the stream's own decoder made a picture, with these cells; returns the first
        one that is another."""
        frame: VideoFrame | None = None
        while self._left and self._left[0] <= index and not self._is_over:
            frame = self._decoded(self._left.popleft(), index)
        if self._is_over:
            return None
        # Without a picture of this packet a player goes on with the one before.
        self._decoder.differs = (
            frame is None
            or (frame.width, frame.height) != (own.width, own.height)
            or bool(np.abs(cells_of(frame).measures - cells.measures).max() > SAME_LEVELS)
        )
        return frame if self._decoder.differs else None

    @property
    def _is_over(self) -> bool:
        return self.fails or self._decoder.differs

    def _decoded(self, at: int, index: int) -> VideoFrame | None:
        """Decodes a packet; returns the picture of packet `index`, if there is one."""
        payload = self._window.payloads[at]
        payload.pts = at
        try:
            frames = self._decoder.decode(payload, self._window.packets[at].pictures)
        except (av.error.FFmpegError, ValueError):
            self.fails = True
            return None
        return next((frame for frame in reversed(frames) if frame.pts == index), None)


def second_decoder(like: VideoCodecContext, *, max_pixels: int) -> SecondDecoder | None:
    """The second decoder of a stream; None: players have but one, or it is not there.

    Args:
        like: the stream's own, not yet opened.
        max_pixels: of its pictures.
    """
    name = SECOND_DECODERS.get(like.name)
    if name is None:
        return None
    if name == LibvpxDecoder.name and LIBRARY is not None:
        with suppress(ValueError):
            return SecondDecoder(LibvpxDecoder(LIBRARY, max_pixels=max_pixels), max_pixels=max_pixels)
    try:
        context = cast(VideoCodecContext, av.CodecContext.create(name, "r"))
    except UnknownCodecError:
        return None
    context.extradata = like.extradata
    return SecondDecoder(context, max_pixels=max_pixels)
