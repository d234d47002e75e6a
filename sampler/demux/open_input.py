"""Opens an input with FFmpeg, its demuxer forced, and nothing else. Runs in the decoder child."""

import sys
from typing import Any

import av
from av.container import InputContainer

from sampler.demux.container import Container
from sampler.demux.mp4.boxes import SAMPLES_A_PICTURE, TO_THE_END, hold_boxes, top_boxes
from sampler.demux.mpegts.floods import hold_floods
from sampler.demux.source import InputFile
from sampler.errors import TooLargeError
from sampler.limits import Limits, has_room

OPEN_OPTIONS = {"codec_whitelist": "none", "probesize": "32768", "analyzeduration": "0", "fpsprobesize": "0"}
"""No decoder may be opened to probe, nor the frame rate be guessed: opening and demuxing 4 s of 360p takes 0.7 ms
instead of 4.7 ms."""
MP4_OPTIONS = {"ignore_chapters": "1", "advanced_editlist": "0", "fflags": "+noparse"}
"""Else what an edit list leaves out would be left out, which some players show; a video that another track names as its
chapters' track is turned into a still picture, and a player that does not read chapters shows it. A packet is given as
it is in the file, and nobody has read its pictures: 4 MB of headers of AV1 in one took FFmpeg 3 s."""

HEADER_BYTES = 64 << 20
"""Memory that opening no input takes. FFmpeg calls it a lack of memory, too, where there are too many streams."""
READ_BYTES = 256 << 10
"""Size of one read: a call into Python each, so not FFmpeg's 32 KiB."""

_LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Names of streams that are no text must not end the child. PyAV 19 is always lenient, and has no such argument."""


def open_input(source: InputFile, container: Container, limits: Limits) -> InputContainer:
    """The opened input; its streams are known, as far as its beginning names them.

    Raises:
        TooLargeError: it has too many streams, boxes, samples, NAL units, parameter sets or lists of programmes.
        UndecodableError: FFmpeg may take the packets of an MPEG-TS for longer ones.
        UnsupportedContainerError: its header is compressed.
        av.error.FFmpegError: it cannot be opened.
    """
    if container is Container.MP4:
        hold_boxes(source.at, limits.frames)
        if source.recording:
            _leave_out_broken_head(source)
    else:
        hold_floods(source, limits)
    try:
        opened: InputContainer = av.open(
            source,
            mode="r",
            format=container.value,
            options={
                **OPEN_OPTIONS,
                **(MP4_OPTIONS if container is Container.MP4 else {}),
                # One more, so that it shows.
                "max_streams": str(limits.streams + 1),
            },
            buffer_size=READ_BYTES,
            io_open=_refuse_to_open,
            **_LENIENT,
        )
    except av.error.MemoryError as error:
        if has_room(HEADER_BYTES):
            raise TooLargeError(
                f"opening it takes more than {HEADER_BYTES} bytes of memory, or more than {limits.streams} streams"
            ) from error
        raise
    if container is Container.MP4 and _samples(opened) > SAMPLES_A_PICTURE * limits.frames:
        opened.close()
        raise TooLargeError("the MP4 has more samples than a segment can have")
    return opened


def _samples(opened: InputContainer) -> int:
    """Samples that FFmpeg knows of; in an MP4 with fragments those of the first one."""
    return sum(len(stream.index_entries) for stream in opened.streams)


def _leave_out_broken_head(source: InputFile) -> None:
    """Ends a recording before a fragment whose head was cut off: FFmpeg would refuse all of it."""
    begin = 0
    for box in top_boxes(source.at, most=sys.maxsize):
        end = box.offset + box.size_bytes
        if box.kind == b"moof" and source.size_bytes < end < TO_THE_END:
            source.size_bytes = begin
        begin = end


def _refuse_to_open(_url: str, _flags: int, _options: object) -> object:
    """FFmpeg asks here before it opens anything besides the input (MOV external references, playlists)."""
    raise PermissionError("an input may not name another")
