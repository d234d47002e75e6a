"""Probes the bits of a single picture for a cut. Runs in the decoder child.

At a cut the encoder codes the picture anew; everywhere else it predicts most of it from others. H.264's decoder reports
which blocks are predicted. H.265's does not, but it puts mid-grey in the place of a picture that is missing: decoded
alone, what is predicted comes out grey.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.plane import VideoPlane
from av.video.stream import VideoStream
from numpy.typing import NDArray

from sampler.decode.scenes.cells import COLUMNS, ROWS, WINDOW_COLUMNS, WINDOW_ROWS
from sampler.demux.codecs.shortened import Shortener
from sampler.demux.rewriting import rewritten

TELL_PREDICTION = {"h264": {"export_side_data": "mvs"}}
"""Options by which a decoder reports predicted blocks with each picture; that costs a hundredth of decoding."""
EXACT_CROP = Flags.unaligned
"""Has a decoder leave out all that parameter sets crop. Else FFmpeg keeps up to 62 pixels at the left, so that rows
begin where its other code likes: what no player shows would be hashed."""
GREY_SHARE = 0.3
"""Share of a picture's area: it is no cut if more (>) comes out grey. On 420 inserts first pictures had under 0.1,
predicted ones over 0.5."""
GREY_LEVELS = 1
"""Levels of 256 by which grey may be off."""
RESIDUAL_LEVELS, RESIDUAL_SPREAD = 4.0, 5.0
"""Levels by which the mean of a block of grey with a residual may be off (<=), and their standard deviation in it (<=).
Of 332 suspects of x265 that were no cuts (a film, talking heads, windows over films) 139 counted as new by grey alone,
30 by this; of 120 that were, 96 and 90, and no window was missed whole. With a spread of 8 four windows were."""
PROBED_AFTER = 2
"""Pictures before a B-frame that are decoded for its vectors, where these decide. Over a photograph that moves, with
new pieces in some pictures, 148 B-frames (x264, up to eight between others) that are predicted when all is decoded were
none alone, after one picture 125, after two 23, after three 21, nearly all with temporal direct prediction."""
BLOCK_PIXELS = 16
"""Side of the blocks by which new content is placed: macroblocks."""
WINDOW_NEW_SHARE = 0.75
"""Share of such a window over which (>) it is new. What moves is coded anew at its edges."""
LEAST_NEW_SHARE = 1 / 18
"""Share of the picture under which (<) new content is none: grain, and small things that move."""


def is_predicted(frame: VideoFrame, share: float, *, rests: bool = True) -> bool:
    """True if more of the picture's area than `share` comes from others; only decoders in `TELL_PREDICTION` report it.

    Ground that stays where it is says nothing of what is beside it, and a window of new content is enough.

    Args:
        frame: the picture.
        share: of its area.
        rests: whether what seems to stay where it is does.
    """
    vectors = frame.side_data.get("MOTION_VECTORS")
    if vectors is None:
        return False
    table = vectors.to_ndarray()
    columns, rows = -(-frame.width // BLOCK_PIXELS), -(-frame.height // BLOCK_PIXELS)
    # Of a block predicted from both sides each side is reported: half of both is as much as all of one.
    place = _block(table["dst_y"], rows) * columns + _block(table["dst_x"], columns)
    area = table["w"].astype(np.float64) * table["h"]
    blocks = rows * columns
    covered = np.bincount(place, area, blocks)
    still = (table["motion_x"] == 0) & (table["motion_y"] == 0)
    resting = np.minimum(np.bincount(place[still], area[still], blocks) / BLOCK_PIXELS**2, 1.0)
    new = 1.0 - np.minimum(covered / BLOCK_PIXELS**2, 1.0)
    if _has_window(new.reshape(rows, columns).astype(np.float32)):
        return False
    anew, moved = new.sum(), blocks - new.sum() - rests * resting.sum()
    return bool(anew < LEAST_NEW_SHARE * blocks or moved > share * (anew + moved))


def _may_be_predicted(frame: VideoFrame, share: float) -> bool:
    """True of a B-frame that is predicted, if nothing in it rests: where it takes vectors from a picture that is
    missing, they are 0."""
    return frame.pict_type == PictureType.B and is_predicted(frame, share, rests=False)


def _block(pixels: NDArray[np.int16], count: int) -> NDArray[np.intp]:
    return np.clip(pixels.astype(np.intp) // BLOCK_PIXELS, 0, count - 1)


def _has_window(new: NDArray[np.float32]) -> bool:
    """True if some window of the picture is new, (rows, columns) of shares."""
    rows, columns = new.shape
    size = max(round(columns * WINDOW_COLUMNS / COLUMNS), 2), max(round(rows * WINDOW_ROWS / ROWS), 2)
    return bool(cv2.blur(new, size, borderType=cv2.BORDER_CONSTANT).max() > WINDOW_NEW_SHARE)


def _is_grey(frame: VideoFrame, _share: float) -> bool:
    """True if much of the picture is the grey that stands for a missing one, and no window of it is anything else."""
    component = frame.format.components[0]
    plane = frame.planes[component.plane]
    samples = np.frombuffer(memoryview(plane), np.dtype(np.uint16 if component.bits > 8 else np.uint8))
    luma = samples.reshape(frame.height, -1)[:, : frame.width]
    columns, rows = max(frame.width // BLOCK_PIXELS, 1), max(frame.height // BLOCK_PIXELS, 1)
    # A quarter of the pixels says as much.
    some = np.ascontiguousarray(luma[: BLOCK_PIXELS * rows : 2, : BLOCK_PIXELS * columns : 2])
    off = some.astype(np.float32) * np.float32(2.0 ** (8 - component.bits)) - np.float32(128)

    def in_blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)

    missing = in_blocks((np.abs(off) <= GREY_LEVELS).astype(np.float32))
    means = in_blocks(off)
    variances = in_blocks(off * off) - means * means
    missing[(np.abs(means) <= RESIDUAL_LEVELS) & (variances <= RESIDUAL_SPREAD**2)] = 1.0
    return bool(missing.mean() > GREY_SHARE) and not _has_window(1.0 - missing)


def _are_alike(frame: VideoFrame, other: VideoFrame) -> bool:
    """True if all pixels are the same. PyAV's own arrays leave out some formats of 10 and 12 bits."""
    bytes_each = 2 if frame.format.components[0].bits > 8 else 1

    def rows_of(plane: VideoPlane) -> NDArray[np.uint8]:
        return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width * bytes_each]

    return frame.format.name == other.format.name and all(
        np.array_equal(rows_of(plane), rows_of(same)) for plane, same in zip(frame.planes, other.planes, strict=True)
    )


@dataclass(frozen=True, kw_only=True)
class _Way:
    """A way to probe with a decoder."""

    options: dict[str, str]
    is_predicted: Callable[[VideoFrame, float], bool]
    may_be_predicted: Callable[[VideoFrame, float], bool]
    """True of a picture that is not, but may be if pictures that it leans on come first."""
    reads_on: bool
    """Its decoder may go on behind the end of a slice, and make something up, in place of refusing it."""


_WAYS = {
    "h264": _Way(
        options=TELL_PREDICTION["h264"] | {"skip_idct": "all"},
        is_predicted=is_predicted,
        may_be_predicted=_may_be_predicted,
        reads_on=False,
    ),
    "hevc": _Way(options={}, is_predicted=_is_grey, may_be_predicted=lambda _frame, _share: False, reads_on=True),
}


class Prober:
    """Decodes single pictures without their references: wrong to look at, yet predicted areas show."""

    def __init__(self, like: VideoCodecContext, way: _Way, *, max_pixels: int, extradata: bytes | None) -> None:
        """See `prober`."""
        bounds = {"max_pixels": str(max_pixels), "skip_loop_filter": "all", "ec": "0"} | way.options
        extradata = like.extradata if extradata is None else extradata
        # A picture that fails must not be painted over: it looks as if nothing in it, or all of it, were predicted.
        self._open = partial(_opened, like.name, extradata, bounds)
        self._strict, self._lenient = self._open(strict=True), self._open(strict=False)
        self._way = way
        self._shortener = Shortener(like.name, extradata or b"")
        self.frames_decoded = 0.0
        """Pictures so far, parts of them by their share."""

    def is_new_content(
        self,
        payload: "Packet[VideoStream]",
        keyframe: "Packet[VideoStream]",
        predicted_share: float,
        *,
        before: "Sequence[Packet[VideoStream]]" = (),
    ) -> bool:
        """True if the picture is coded anew, but for `predicted_share` of its area, as at a cut.

        Some pictures want to forget some that are not there (one in 16, and the B-frames of a pyramid): those are
        probed once more, leniently. Others cannot be decoded without any to lean on: once more after the run's
        `keyframe`, which costs as much as two others. Where vectors may be missing, once more after a few pictures
        `before` it. In doubt it is a cut: then the picture is sampled.
        """
        frame = self._last(self._strict, payload)
        if frame is None:
            frame = self._last(self._lenient, payload)
            if frame is not None and "MOTION_VECTORS" not in frame.side_data:
                frame = None
        if frame is None and keyframe is not payload:
            frame = self._last(self._lenient, keyframe, payload)
        if frame is None or self._way.is_predicted(frame, predicted_share):
            return frame is None
        if before and self._way.may_be_predicted(frame, predicted_share):
            again = self._last(self._lenient, *before, payload)
            return again is None or not self._way.is_predicted(again, predicted_share)
        return True

    def rest(self) -> None:
        """Gives back the memory of what was decoded. A decoder that is opened after that takes it over, which saves
        page faults."""
        if self._strict.is_open:
            self._strict = self._open(strict=True)
        if self._lenient.is_open:
            self._lenient = self._open(strict=False)

    def is_padded(self, payload: "Packet[VideoStream]", share: float, place: float) -> bool:
        """True if a decoder makes of a picture's slice what it makes of that share of its bytes: the rest is nothing.

        One that needs more refuses the picture, soon and at little cost. But a slice without CABAC may end by chance
        where a macroblock does, which it hardly does twice; and H.265's decoder may make up the rest, which is another
        picture then. (H.264's is not the same twice: what it stands for missing ones is left over from others.)
        """
        shortened = self._shortener.shorten(bytes(payload), share=share, place=place)
        if (
            shortened is None
            or (part := self._last(self._strict, rewritten(payload, shortened.part), share=share)) is None
        ):
            return False
        again, share = (shortened.whole, 1.0) if self._way.reads_on else (shortened.shorter, share)
        other = self._last(self._strict, rewritten(payload, again), share=share)
        return other is not None and (not self._way.reads_on or _are_alike(part, other))

    def _last(
        self, context: VideoCodecContext, *payloads: "Packet[VideoStream]", share: float = 1.0
    ) -> VideoFrame | None:
        """The picture of the last packet; the others are decoded for it. `share`: of each that the packets hold."""
        frames: list[VideoFrame] = []
        try:
            for number, payload in enumerate(payloads):
                payload.pts = number
                self.frames_decoded += share
                frames += context.decode(payload)
            frames += context.decode(None)
        except (av.error.FFmpegError, ValueError):
            # ValueError: of PyAV 19, on the second packet, if the container's parameters open no decoder.
            return None
        finally:
            context.flush_buffers()
        return next((frame for frame in frames if frame.pts == len(payloads) - 1), None)


def _opened(codec: str, extradata: bytes | None, options: dict[str, str], *, strict: bool) -> VideoCodecContext:
    context = cast(VideoCodecContext, av.CodecContext.create(codec, "r"))
    context.extradata = extradata
    context.thread_count = 1
    context.flags = EXACT_CROP | Flags.output_corrupt
    context.options = options | ({"err_detect": "explode"} if strict else {})
    return context


def prober(like: VideoCodecContext, *, max_pixels: int, extradata: bytes | None = None) -> Prober | None:
    """The probe for pictures of this stream; None: its decoder gives no picture alone.

    Args:
        like: the stream's own context, not yet opened.
        max_pixels: FFmpeg refuses larger pictures.
        extradata: the stream's parameters; None: those of `like`.
    """
    way = _WAYS.get(like.name)
    return None if way is None else Prober(like, way, max_pixels=max_pixels, extradata=extradata)
