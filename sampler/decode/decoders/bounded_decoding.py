"""Decoding for which nobody can tell before what it takes: the kernel ends a process that takes far too much of it.

A packet of VP9 may have thousands of small pictures one behind the other, as many as nobody can count. Bounded is CPU,
not a count, so that a plan stays the same on every worker. Runs in the decoder child.
"""

import signal
from typing import Protocol

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from sampler.demux.codecs.sizes import announced_pixels

FIRST_SECONDS, PIXEL_SECONDS, BYTE_SECONDS = 0.1, 2e-8, 5e-7
"""CPU that is allowed once, for each pixel of a counted picture and for each byte; libvpx takes 1 to 5 ns and 80 ns."""
PIXEL_BYTES = 1.5
"""The most that count for a pixel: as many as it has uncoded."""
LEAST_SECONDS = 0.001
"""The shortest time that a timer is set to: 0 would be none."""


class PictureDecoder(Protocol):
    """A decoder: one of PyAV's, or libvpx (sampler/decode/decoders/libvpx.py)."""

    name: str
    flags: int
    thread_count: int
    options: dict[str, str]
    extradata: bytes | None

    @property
    def is_open(self) -> bool:
        """True once it decoded a packet."""

    def decode(self, packet: "Packet[VideoStream] | None" = None) -> list[VideoFrame]:
        """The pictures that a packet gives; None: those that are held back."""

    def flush_buffers(self) -> None:
        """Forgets what was decoded."""


class BoundedDecoding:
    """A decoder with an allowance of CPU, which grows with the pictures that it is known to decode.

    Their size is what their headers say, or that of the last one that came: a container may say anything.
    """

    def __init__(self, context: PictureDecoder) -> None:
        self.context = context
        self._name = context.name
        self._pixels = 0
        self._seconds = FIRST_SECONDS

    def decode(self, payload: "Packet[VideoStream]", pictures: int) -> list[VideoFrame]:
        """Decodes a packet that counts for so many pictures. The process ends (SIGPROF) once all is spent.

        Raises:
            av.error.FFmpegError, ValueError: as of the decoder.
        """
        pixels = pictures * (announced_pixels(self._name, bytes(payload)) or self._pixels)
        self._seconds += pixels * PIXEL_SECONDS + min(payload.size, pixels * PIXEL_BYTES) * BYTE_SECONDS
        signal.setitimer(signal.ITIMER_PROF, max(self._seconds, LEAST_SECONDS))
        try:
            frames = self.context.decode(payload)
        finally:
            self._seconds, _ = signal.setitimer(signal.ITIMER_PROF, 0)
        for frame in frames:
            self._pixels = frame.width * frame.height
        return frames
