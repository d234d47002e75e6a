"""Choice of the video stream to sample, and notice of any other. Runs in the decoder child."""

from collections.abc import Sequence

from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from sampler.demux.nal import NalCodec
from sampler.errors import NoVideoError, UnsupportedCodecError

CODECS = {
    "h264": NalCodec.H264,
    "hevc": NalCodec.HEVC,
    "av1": None,
    "libdav1d": None,
    "vp9": None,
    "libvpx-vp9": None,
    "mpeg2video": None,
    "mpeg4": None,
}
"""Decoders that we run, and whose packets are NAL units. Every other one is surface for attacks and nothing else."""
COVER_CODECS = frozenset(["mjpeg", "png", "bmp"])
"""Codecs of a cover picture (`covr` in the metadata of an MP4), by FFmpeg's list for that box."""


def choose_video(streams: Sequence[VideoStream]) -> VideoStream:
    """The stream to sample: the first that is no picture beside another one.

    Raises:
        NoVideoError: there is none.
        UnsupportedCodecError: nothing here decodes it.
    """
    videos = [stream for stream in streams if not _is_cover(stream)]
    if not videos:
        raise NoVideoError("the segment has no video stream")
    return next((stream for stream in videos if not stream.disposition & Disposition.attached_pic), videos[0])


def hold_codec(stream: VideoStream) -> None:
    """Raises UnsupportedCodecError, unless the stream's codec is one of `CODECS`."""
    # PyAV gives a stream without its attributes where FFmpeg knows no decoder for it.
    name = None if stream.codec_context is None else stream.codec_context.name
    if name not in CODECS:
        raise UnsupportedCodecError(
            f"the video's codec is {name or 'unknown'}: expected one of {', '.join(sorted(CODECS))}"
        )


def has_second_video(streams: Sequence[VideoStream]) -> bool:
    """True if a player might show another video than the chosen one, whatever the container calls it.

    FFmpeg calls a track "attached picture" as soon as another names it as its chapters' track: players that do not
    read chapters so show it.
    """
    return sum(not _is_cover(stream) for stream in streams) > 1


def codec_tag(context: VideoCodecContext) -> bytes:
    """The codec tag, which PyAV gives as text and fails to where it is none."""
    try:
        return context.codec_tag.encode("ascii")
    except UnicodeDecodeError as error:
        return error.object


def _is_cover(stream: VideoStream) -> bool:
    """True for a cover picture: one packet of a picture codec, in the metadata and not in a track.

    A track has samples, or lies in fragments and is named as a chapter track ("timed thumbnails").
    """
    return bool(
        stream.disposition == Disposition.attached_pic
        and stream.codec_context is not None
        and stream.codec_context.name in COVER_CODECS
        and not stream.frames
        and not stream.id
    )
