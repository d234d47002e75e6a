"""The end of the segment before, read for the leading pictures of a segment. Runs in the decoder child."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import av

from sampler.demux.packet_reader import Demuxer
from sampler.demux.primer import Primer, is_same_stream, last_gop
from sampler.demux.source import InputFile
from sampler.errors import DecoderMemoryError, SamplerError
from sampler.limits import Limits


@contextmanager
def read_segment_before(
    source: InputFile | None, limits: Limits, *, init_bytes: int, like: Demuxer, parameter_sets: bytes = b""
) -> Iterator[Primer | None]:
    """The last GOP of the segment before, valid within the context; None: it has none that fits.

    Args:
        source: its bytes, which begin with `init_bytes` of an initialisation section; None: there are none.
        limits: on it alone.
        init_bytes: see `source`.
        like: the segment itself.
        parameter_sets: those in force at its end.

    Raises:
        DecoderMemoryError: reading it took more memory than there is.
    """
    demuxer = None if source is None else _opened(source, limits, init_bytes, like.track, parameter_sets)
    if demuxer is None:
        yield None
        return
    # The packets belong to the opened input.
    with closing(demuxer):
        yield _last_gop(demuxer) if is_same_stream(demuxer.codec_context, like.codec_context) else None


def _opened(source: InputFile, limits: Limits, init_bytes: int, track: int, parameter_sets: bytes) -> Demuxer | None:
    try:
        return Demuxer(source, limits, init_bytes=init_bytes, track=track, parameter_sets=parameter_sets)
    except DecoderMemoryError:
        raise
    except (SamplerError, av.error.FFmpegError):
        return None


def _last_gop(demuxer: Demuxer) -> Primer | None:
    primer = None
    try:
        for window in demuxer.windows():
            own = slice(window.primer, None)
            primer = last_gop(window.packets[own], window.payloads[own], since=window.sets_known_from)
    except (DecoderMemoryError, av.error.MemoryError):
        raise
    except (SamplerError, av.error.FFmpegError):
        return None
    # What the reader broke off at is not the end.
    return None if "truncated" in demuxer.notes else primer
