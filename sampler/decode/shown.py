"""Notes on what players show otherwise than the decoder gives it, each in its own way. Runs in the decoder child."""

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from sampler.demux.aperture import CROPPED, apertures
from sampler.demux.container import SNIFF_BYTES, Container, sniff
from sampler.demux.source import InputFile


class ShownOtherwise:
    """Notes on a video track, from its container and its decoded pictures."""

    def __init__(self, source: InputFile, context: VideoCodecContext) -> None:
        """Reads what the container says; `context` has its parameters, and is not yet opened."""
        self.notes: set[str] = set()
        self._apertures = apertures(source.at) if sniff(source.at(0, SNIFF_BYTES)) is Container.MP4 else set()
        self._size = (context.width, context.height)

    def look(self, frame: VideoFrame) -> None:
        """Notes what is so of a picture."""
        # The container's word on the size of pictures may be another, and players go by the one or the other.
        sizes = {self._size, (frame.width, frame.height)}
        if self._apertures is None or any(aperture.leaves_out(*size) for aperture in self._apertures for size in sizes):
            self.notes.add(CROPPED)
