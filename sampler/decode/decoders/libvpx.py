"""libvpx of OpenCV's wheels, which decodes VP9 of 10 and 12 bits; PyAV's does not. Runs in the decoder child.

Of libvpx's interface (vpx/vpx_decoder.h, vpx/vpx_image.h) four functions and two structures are used. Its version is
checked when a decoder is made, so that another layout is refused and not misread.
"""

import ctypes
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from sampler.demux.codecs import vp9

DECODER_ABI = 12
"""VPX_DECODER_ABI_VERSION of libvpx 1.8 to 1.15."""
HIGH_DEPTH = 0x4
"""VPX_CODEC_CAP_HIGHBITDEPTH."""
CONTEXT_BYTES = 256
"""Room for vpx_codec_ctx_t, which has 56."""
NO_MEMORY = 2
"""VPX_CODEC_MEM_ERROR."""
FORMATS = {0x102: "yuv420p", 0x105: "yuv422p", 0x106: "yuv444p", 0x107: "yuv440p"}
"""vpx_img_fmt of 8 bits to FFmpeg's names."""
WIDE = 0x800
"""VPX_IMG_FMT_HIGHBITDEPTH, set beside that where a sample has two bytes."""
SRGB = 7
"""vpx_color_space of RGB, its planes green, blue, red."""
MATRICES = (2, 5, 1, 6, 7, 9, 3, 0)
"""vpx_color_space to AVColorSpace, as FFmpeg's libvpxdec.c has it."""
RANGES = (1, 2)
"""vpx_color_range to AVColorRange."""


class _Settings(ctypes.Structure):
    """vpx_codec_dec_cfg_t."""

    _fields_ = [(name, ctypes.c_uint) for name in ("threads", "width", "height")]


class _Image(ctypes.Structure):
    """The beginning of vpx_image_t."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("format", "colours", "range")),
        *((name, ctypes.c_uint) for name in ("stored_width", "stored_height", "bits", "width", "height")),
        *((name, ctypes.c_uint) for name in ("render_width", "render_height", "across", "down")),
        ("planes", ctypes.c_void_p * 4),
        ("strides", ctypes.c_int * 4),
    ]


@cache
def library() -> ctypes.CDLL | None:
    """The library; None: it is not there, or decodes 8 bits alone. Loaded before the process is confined."""
    for path in sorted(Path(cv2.__file__).parents[1].glob("opencv_python*.libs/libvpx-*")):
        with suppress(OSError, AttributeError):
            found = ctypes.CDLL(str(path))
            found.vpx_codec_vp9_dx.restype = found.vpx_codec_get_frame.restype = ctypes.c_void_p
            found.vpx_codec_get_caps.restype = ctypes.c_long
            found.vpx_codec_get_caps.argtypes = [ctypes.c_void_p]
            found.vpx_codec_dec_init_ver.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_long, ctypes.c_int]
            found.vpx_codec_decode.argtypes = [
                *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint),
                *(ctypes.c_void_p, ctypes.c_long),
            ]
            found.vpx_codec_get_frame.argtypes = [ctypes.c_void_p] * 2
            found.vpx_codec_destroy.argtypes = [ctypes.c_void_p]
            if found.vpx_codec_get_caps(found.vpx_codec_vp9_dx()) & HIGH_DEPTH:
                return found
    return None


LIBRARY = library()


class LibvpxDecoder:
    """A decoder of VP9, used as one of PyAV's."""

    name = "libvpx-vp9"
    thread_count = 1

    def __init__(self, found: ctypes.CDLL, *, max_pixels: int) -> None:
        """Makes a decoder.

        Args:
            found: the library.
            max_pixels: of a picture that is given.

        Raises:
            ValueError: the library has another interface.
        """
        self.options: dict[str, str] = {}
        self.extradata: bytes | None = None
        self.flags = 0
        self.is_open = False
        self._library, self._max_pixels = found, max_pixels
        self._context = ctypes.create_string_buffer(CONTEXT_BYTES)
        settings = _Settings(threads=self.thread_count)
        if found.vpx_codec_dec_init_ver(
            self._context, found.vpx_codec_vp9_dx(), ctypes.byref(settings), 0, DECODER_ABI
        ):
            raise ValueError("libvpx has another interface than is known")
        weakref.finalize(self, found.vpx_codec_destroy, self._context)

    def decode(self, packet: "Packet[VideoStream] | None" = None) -> list[VideoFrame]:
        """The pictures that a packet shows, which is parted by its index as FFmpeg does; None: none is held back.

        Raises:
            av.error.FFmpegError: it is refused.
        """
        self.is_open = True
        frames: list[VideoFrame] = []
        for picture in vp9.parted(bytes(packet)) if packet is not None else ():
            if not picture:
                raise av.error.InvalidDataError(0, "a picture without bytes")
            if status := self._library.vpx_codec_decode(self._context, picture, len(picture), None, 0):
                if status == NO_MEMORY:
                    raise av.error.MemoryError(0, "libvpx has no memory")
                raise av.error.InvalidDataError(0, f"libvpx refuses a picture: {status}")
            place = ctypes.c_void_p()
            while image := self._library.vpx_codec_get_frame(self._context, ctypes.byref(place)):
                frame = self._frame(_Image.from_address(image))
                frame.pts = packet.pts if packet is not None else None
                frames.append(frame)
        return frames

    def flush_buffers(self) -> None:
        """Does nothing: no picture is held back, and a keyframe begins anew."""

    def _frame(self, image: _Image) -> VideoFrame:
        form = FORMATS.get(image.format & ~WIDE)
        if form is None or not 0 < image.width * image.height <= self._max_pixels:
            raise av.error.InvalidDataError(0, f"a picture of {image.width}×{image.height}, format {image.format:#x}")
        if image.colours == SRGB and form == "yuv444p":
            form = "gbrp"
        frame = VideoFrame(image.width, image.height, f"{form}{image.bits}le" if image.format & WIDE else form)
        for plane, address, stride in zip(frame.planes, image.planes, image.strides, strict=False):
            row_bytes = plane.width * (2 if image.format & WIDE else 1)
            size = stride * (plane.height - 1) + row_bytes
            source = np.frombuffer((ctypes.c_uint8 * size).from_address(address), np.uint8)
            rows = np.lib.stride_tricks.as_strided(source, (plane.height, row_bytes), (stride, 1))
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, :row_bytes] = rows
        frame.colorspace, frame.color_range = MATRICES[image.colours & 7], RANGES[image.range & 1]
        return frame
