"""Choice of the video streams to sample, and notice of any other. Runs in the decoder child."""

from collections.abc import Sequence

from av.container.streams import StreamContainer
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from sampler.demux.codecs.nal import NalCodec
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
SECOND_VIDEO_STREAM = "second_video_stream"
"""Note: there is a video that is not sampled, or may be for some players, and which one they show is unknown."""
COVER_PICTURE = "cover_picture"
"""Note: the metadata has a cover picture, which is no part of the video and is not sampled."""
SUBTITLE_PICTURES = "subtitle_pictures"
"""Note: there are subtitles that may be pictures, which players draw over the video and no sample shows."""
TEXT_SUBTITLES = frozenset(["mov_text", "webvtt", "subrip", "srt", "ass", "ssa", "text", "cc_dec"])
"""Decoders of subtitles that are text alone. All others may be pictures: of TTML and teletext too."""
COVER_CODECS = frozenset(["mjpeg", "png", "bmp"])
"""Codecs of a cover picture (`covr` in the metadata of an MP4), by FFmpeg's list for that box."""


SAMPLED_TRACKS = 2
"""Video tracks of an input that are sampled (<=), within one budget: which one a player shows is unknown."""


def choose_videos(streams: Sequence[VideoStream]) -> Sequence[VideoStream]:
    """The video tracks to sample: the first ones that something here decodes; else the first one.

    Raises:
        NoVideoError: there is none.
    """
    videos = video_tracks(streams)
    if not videos:
        raise NoVideoError("the segment has no video stream")
    return [stream for stream in videos if _codec(stream) in CODECS][:SAMPLED_TRACKS] or videos[:1]


def stream_notes(streams: StreamContainer, *, sampled: int) -> list[str]:
    """Notes on the streams of an input of which so many videos are sampled."""
    videos = len(video_tracks(streams.video))
    found = {
        SECOND_VIDEO_STREAM: videos > sampled,
        COVER_PICTURE: len(streams.video) > videos,
        SUBTITLE_PICTURES: any(_codec(stream) not in TEXT_SUBTITLES for stream in streams.subtitles),
    }
    return [note for note, is_so in found.items() if is_so]


def hold_codec(stream: VideoStream) -> None:
    """Raises UnsupportedCodecError, unless the stream's codec is one of `CODECS`."""
    name = _codec(stream)
    if name not in CODECS:
        raise UnsupportedCodecError(
            f"the video's codec is {name or 'unknown'}: expected one of {', '.join(sorted(CODECS))}"
        )


def video_tracks(streams: Sequence[VideoStream]) -> Sequence[VideoStream]:
    """Those that a player might show, whatever the container calls them."""
    return [stream for stream in streams if not _is_cover(stream)]


def codec_tag(context: VideoCodecContext) -> bytes:
    """The codec tag, which PyAV gives as text and fails to where it is none."""
    try:
        return context.codec_tag.encode("ascii")
    except UnicodeDecodeError as error:
        return error.object


def _codec(stream: VideoStream | SubtitleStream) -> str | None:
    """The codec's name; None: PyAV gives a stream without its attributes where FFmpeg knows no decoder for it."""
    return None if stream.codec_context is None else stream.codec_context.name


def _is_cover(stream: VideoStream) -> bool:
    """True for a cover picture: one packet of a picture codec, in the metadata and not in a track."""
    return bool(
        stream.disposition == Disposition.attached_pic
        and stream.codec_context is not None
        and stream.codec_context.name in COVER_CODECS
        and not stream.frames
        and not stream.id
    )
