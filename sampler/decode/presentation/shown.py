"""Notes on what players show otherwise than the decoder gives it, each in its own way. Runs in the decoder child."""

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from sampler.decode.presentation.eyes import eyes_of, is_all_around
from sampler.decode.presentation.orientations import Orientations
from sampler.decode.presentation.planes import MATRICES, NO_MATRICES, matrix_of, store
from sampler.decode.presentation.planes import views_of as views_of_planes
from sampler.decode.presentation.view import View, crops, views_of
from sampler.demux.codecs.render_sizes import RenderSize, RenderSizes
from sampler.demux.container import SNIFF_BYTES, Container, sniff
from sampler.demux.mp4.aperture import CROPPED, apertures
from sampler.demux.mp4.track_headers import AS_STORED, track_matrices
from sampler.demux.packet_window import PacketWindow
from sampler.demux.source import InputFile
from sampler.limits import Limits
from sampler.picture import GBR, VIEWS, are_alike
from sampler.plan.coverage import TURNED

ODD_COLOURS = "odd_colours"
"""Note: colours are coded in a way that few players know, and most show as others."""
RGB_MATRIX, UNSPECIFIED, YCGCO_MATRIX = 0, 2, 8
ODD_ASPECT = "odd_aspect"
"""Note: players are asked to stretch pictures by more than any camera or broadcaster does."""
SPHERICAL = "spherical"
"""Note: pictures lie all around a viewer, who sees a part of them at a time where the player knows of it."""
MOST_ASPECT = 4
"""Width by height of one pixel, or height by width, up to which (<=) it is ordinary: half of a line of television in
16:9 has 32:11."""

BLOCK = 16
"""Pixels of a side of a macroblock, in which H.264 counts."""


class ShownOtherwise:
    """Notes on a video track, from its container and its decoded pictures."""

    def __init__(self, source: InputFile, stream: VideoStream, limits: Limits) -> None:
        """Reads what the container says; the stream's decoder is not yet opened."""
        self._stream = stream
        self._least_pixels = limits.picture_side_pixels
        self._is_h264 = stream.codec_context.name == "h264"
        self._render_sizes = RenderSizes(stream.codec_context.name, stream.codec_context.extradata or b"")
        self.notes: set[str] = set()
        is_mp4 = sniff(source.at(0, SNIFF_BYTES)) is Container.MP4
        self._apertures = apertures(source.at) if is_mp4 else set()
        self._orientations = Orientations(track_matrices(source.at, stream.id) if is_mp4 else {AS_STORED})
        self._size = (stream.codec_context.width, stream.codec_context.height)
        self._matrix = stream.codec_context.colorspace

    def read(self, window: PacketWindow) -> None:
        """Notes what packets say, before their pictures are decoded."""
        self._render_sizes.read(window.payloads)

    def views(self, frame: VideoFrame) -> list[View]:
        """The ways in which players show a picture, at most `VIEWS`; the first is all of it, as FFmpeg turns it."""
        parts = {size for size in self._render_sizes.found | self._container_part(frame) if crops(size, frame)}
        large = {size for size in parts if min(size) >= self._least_pixels}
        eyes, are_parted = eyes_of(frame)
        if any(view.part is not None and min(view.part) < self._least_pixels for view in eyes):
            eyes, are_parted = [], False
        found, are_all = views_of(
            frame,
            self._orientations.of(frame),
            large,
            eyes,
            self._other_matrices(frame),
            least_rows=self._least_pixels,
            most=VIEWS,
        )
        if large != parts or not are_all or not are_parted:
            self.notes.add(CROPPED)
        return found

    def account(self, reached: int) -> None:
        """Notes what was not read of the window; `reached`: the last packet of it that was decoded."""
        if self._render_sizes.first_unread <= reached:
            self.notes.add(CROPPED)

    def _container_part(self, frame: VideoFrame) -> set[RenderSize]:
        """The part to which FFmpeg, and Chromium's decoder with it, would crop H.264 by the container's word."""
        same = all(-(-ours // BLOCK) == -(-side // BLOCK) for ours, side in zip(self._size, _size(frame), strict=True))
        return {RenderSize(*self._size)} if self._is_h264 and same else set()

    def _other_matrices(self, frame: VideoFrame) -> list[str]:
        """Those by which some players show odd colours, where that is as bright as another picture."""
        odd = [matrix for matrix in (self._matrix, frame.colorspace) if _is_odd(matrix, frame)]
        if not odd:
            return []
        stored, buffers = store(frame, pixel_aspect=1.0)
        known = [GBR if matrix == RGB_MATRIX else matrix_of(matrix, rows=frame.height) for matrix in odd]
        usual = matrix_of(UNSPECIFIED, rows=frame.height)
        planes = views_of_planes(stored, buffers)
        others = [matrix for matrix in dict.fromkeys([*known, usual]) if matrix != stored.matrix]
        if len(planes) == 1:
            return []
        return [matrix for matrix in others if not are_alike(planes, (stored.matrix, matrix), stored.full_range)]

    def look(self, frame: VideoFrame) -> None:
        """Notes what is so of a picture."""
        # The container's word on the size of pictures may be another, and players go by the one or the other.
        sizes = {self._size, _size(frame)}
        if self._apertures is None or any(aperture.leaves_out(*size) for aperture in self._apertures for size in sizes):
            self.notes.add(CROPPED)
        if is_all_around(frame):
            self.notes.add(SPHERICAL)
        if self._orientations.are_unknown(frame):
            self.notes.add(TURNED)
        # So may its word on their colours. Of VP9 Chromium goes by it, FFmpeg by the stream.
        if any(_is_odd(matrix, frame) for matrix in (self._matrix, frame.colorspace)):
            self.notes.add(ODD_COLOURS)
        aspects = (self._stream.sample_aspect_ratio, self._stream.codec_context.sample_aspect_ratio)
        if any(aspect and not 1 / MOST_ASPECT <= aspect <= MOST_ASPECT for aspect in aspects):
            self.notes.add(ODD_ASPECT)


def _size(frame: VideoFrame) -> tuple[int, int]:
    return frame.width, frame.height


def _is_odd(matrix: int, frame: VideoFrame) -> bool:
    """True if players differ on colours of that matrix (AVColorSpace)."""
    if matrix == RGB_MATRIX:
        # They take three whole planes for green, blue and red, where FFmpeg does not say so, and others for YUV.
        sizes = {(plane.width, plane.height) for plane in frame.planes}
        return len(frame.planes) == 3 and len(sizes) == 1 and not frame.format.is_rgb
    return matrix == YCGCO_MATRIX or matrix not in NO_MATRICES | MATRICES.keys()
