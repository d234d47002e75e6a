"""Decoding for which nobody can tell before what it takes: the kernel ends a process that takes far too much of it.

A packet of VP9 may have thousands of small pictures one behind the other, as many as nobody can count: 10,000 of 720p
in half a megabyte take 6 s. Bounded is CPU, not a count, so that a plan stays the same on every worker. Runs in the
decoder child.
"""

import signal

from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

FIRST_SECONDS, MACROBLOCK_SECONDS, BYTE_SECONDS = 0.1, 5e-6, 5e-7
"""CPU that is allowed once, for each macroblock of a counted picture and for each byte: libvpx takes 0.3 to 1.2 µs and
0.08 µs."""
MACROBLOCK_BYTES = 400
"""The most that count for a macroblock: uncoded it has 384."""
LEAST_SECONDS = 0.001
"""The shortest time that a timer is set to: 0 would be none."""
MACROBLOCK_PIXELS = 256


class BoundedDecoding:
    """A decoder with an allowance of CPU, which grows with the pictures that it is known to decode."""

    def __init__(self, context: VideoCodecContext, *, like: VideoCodecContext) -> None:
        """Takes a decoder, and the context that knows what the container says of the pictures."""
        self.context = context
        self._macroblocks = like.width * like.height / MACROBLOCK_PIXELS
        self._seconds = FIRST_SECONDS

    def decode(self, payload: "Packet[VideoStream]", pictures: int) -> list[VideoFrame]:
        """Decodes a packet that counts for so many pictures. The process ends (SIGPROF) once all is spent.

        Raises:
            av.error.FFmpegError, ValueError: as of the decoder.
        """
        macroblocks = pictures * self._macroblocks
        size_bytes = min(payload.size, MACROBLOCK_BYTES * macroblocks)
        self._seconds += macroblocks * MACROBLOCK_SECONDS + size_bytes * BYTE_SECONDS
        signal.setitimer(signal.ITIMER_PROF, max(self._seconds, LEAST_SECONDS))
        try:
            frames = self.context.decode(payload)
        finally:
            self._seconds, _ = signal.setitimer(signal.ITIMER_PROF, 0)
        for frame in frames:
            # A picture may be larger than those before it, or than the container says.
            self._macroblocks = max(self._macroblocks, frame.width * frame.height / MACROBLOCK_PIXELS)
        return frames
