"""Fragments of an MP4 that FFmpeg passes over, or reads otherwise than browsers do. Runs in the decoder child.

FFmpeg says nothing of those that it leaves out: of another track, of another sample entry, or under a second `moov`.
Browsers (Media Source Extensions) show them, and of two that overlap in time the later one.
"""

import struct
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial

from av.container import InputContainer

from sampler.demux.mp4.boxes import TO_THE_END, TOP_BOXES, TopBox, read_within, top_boxes
from sampler.demux.mp4.track_headers import has_mixed_entries
from sampler.demux.mpegts.headers import TS_PACKET_BYTES, TS_SYNC
from sampler.demux.source import InputFile, Read

BOX_BYTES = 4 << 20
"""Largest box that is read (<=): the head of a fragment of 20,000 pictures takes under a tenth."""
TS_WITHIN_BYTES, TS_PACKETS = 5 * 188, 8
"""hls.js looks so far for the first packet, and wants 99 in a row, or as many as there are. So many are no chance."""
BASE_DATA_OFFSET, DESCRIPTION_INDEX, BASE_IS_MOOF = 0x1, 0x2, 0x20000
"""Flags of `tfhd` (ISO/IEC 14496-12, 8.8.7)."""
DATA_OFFSET = 0x1
"""Flag of `trun` (8.8.8)."""


class _MalformedError(Exception):
    """The boxes make no sense. Never leaves this module."""


@dataclass(kw_only=True, slots=True)
class Fragments:
    """Fragments of one input."""

    astray: bool = False
    """True if players may show others than FFmpeg gives, or the same from another place."""
    any: bool = False
    """The input has some."""
    samples: Counter[int] = field(default_factory=Counter)
    """By track those that must be there."""

    def hide(self, track: int, packets: int) -> bool:
        """True if players may show others than the packets that FFmpeg gave of a track, which were so many."""
        return self.astray or packets < self.samples[track]


def fragments_of(source: InputFile, opened: InputContainer, *, init_bytes: int) -> Fragments:
    """Those of an MP4 that FFmpeg has opened, which begins with so many bytes of an initialisation section, and whose
    boxes are bounded (`boxes.hold_boxes`)."""
    found = read_fragments(
        source.at,
        size_bytes=source.size_bytes,
        init_bytes=init_bytes,
        known={stream.id for stream in opened.streams},
        audio={stream.id for stream in opened.streams.audio},
        recording=source.recording,
    )
    if found.any:
        # Those that `moov` lists, which FFmpeg gives as well, and browsers never show.
        listed = {stream.id: stream.frames for stream in opened.streams}
        found.samples.update(listed)
        found.astray |= init_bytes > 0 and any(listed.values())
    found.astray |= any(has_mixed_entries(source.at, stream.id) for stream in opened.streams.video)
    found.astray |= _has_mpeg_ts(source.at(init_bytes, TS_WITHIN_BYTES + TS_PACKETS * TS_PACKET_BYTES))
    return found


def read_fragments(
    read: Read,
    *,
    size_bytes: int,
    known: Collection[int],
    audio: Collection[int],
    init_bytes: int = 0,
    recording: bool = False,
) -> Fragments:
    """Reads the heads of all fragments.

    Args:
        read: reads the input, its init section in front.
        size_bytes: of the input.
        known: numbers of the tracks that FFmpeg knows.
        audio: those of them that it takes for sound.
        init_bytes: of the init section.
        recording: whether nothing comes behind the input. One that a crash cut off has all but its last pictures.
    """
    found = Fragments()
    moov: TopBox | None = None
    indices: dict[int, int] = {}
    end = 0
    newest: Counter[int] = Counter()  # of the fragment whose pictures come next
    try:
        for box in top_boxes(read, most=sys.maxsize):
            begin, end = end, box.offset + box.size_bytes
            if recording and size_bytes < end < TO_THE_END:
                found.samples -= newest
                break
            # Browsers are given an init section once: of later segments its last box takes in nothing, and none of them
            # has pictures of it.
            found.astray |= begin < init_bytes and (init_bytes < end or box.kind == b"moof")
            if box.kind == b"moov":
                if moov is None:
                    moov = box
                    indices = dict(_description_indices(read, box))
                found.astray |= moov is not box and not _are_alike(read, moov, box)
            elif box.kind == b"moof":
                found.any = True
                newest = _read_fragment(_content(read, box), begin, indices, known, audio)
                found.samples += newest
            elif box.kind == b"mdat":
                newest = Counter()
    except (_MalformedError, struct.error):
        found.astray = True
    # Browsers are given one segment behind another, and take the next one for the rest of this one's last box.
    found.astray |= found.any and not recording and size_bytes < end < TO_THE_END
    return found


def _has_mpeg_ts(head: bytes) -> bool:
    """True if packets of an MPEG-TS follow each other in a segment's beginning: hls.js finds them in any box."""
    place = head.find(TS_SYNC)
    while 0 <= place < TS_WITHIN_BYTES:
        if head[place::TS_PACKET_BYTES][:TS_PACKETS] == bytes([TS_SYNC]) * TS_PACKETS:
            return True
        place = head.find(TS_SYNC, place + 1)
    return False


def _content(read: Read, box: TopBox) -> bytes:
    if box.size_bytes > BOX_BYTES:
        raise _MalformedError
    return read(box.offset, box.size_bytes)


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes that `content` consists of."""
    position = 0
    while position < len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        head_bytes = 8
        if size == 1:
            (size,), head_bytes = struct.unpack_from(">Q", content, position + 8), 16
        if size < head_bytes or position + size > len(content):
            raise _MalformedError
        yield kind, content[position + head_bytes : position + size]
        position += size


def _are_alike(read: Read, moov: TopBox, other: TopBox) -> bool:
    return moov.size_bytes == other.size_bytes <= BOX_BYTES and _content(read, moov) == _content(read, other)


def _description_indices(read: Read, moov: TopBox) -> Iterator[tuple[int, int]]:
    """By track the number of the sample entry that its fragments have if they do not say (`trex`, 8.8.3)."""
    inside = partial(read_within, read, moov)
    for number, box in enumerate(top_boxes(inside), 1):
        if number == TOP_BOXES:
            raise _MalformedError
        if box.kind == b"mvex":
            for inner, content in _boxes(_content(inside, box)):
                if inner == b"trex":
                    track, index = struct.unpack_from(">II", content, 4)
                    yield track, index


def _read_fragment(
    moof: bytes, place: int, indices: dict[int, int], known: Collection[int], audio: Collection[int]
) -> Counter[int]:
    """By track the samples of one fragment, which begins at that place of the input.

    Raises:
        _MalformedError: FFmpeg and browsers may read it in two ways.
    """
    samples: Counter[int] = Counter()
    is_first = True
    for kind, traf in _boxes(moof):
        if kind != b"traf":
            continue
        boxes = list(_boxes(traf))
        kinds = [inner for inner, _ in boxes if inner in (b"tfhd", b"tfdt", b"trun")]
        # FFmpeg takes them in their order, browsers by their names.
        in_order = [b"tfhd", *[b"tfdt"] * kinds.count(b"tfdt"), *[b"trun"] * kinds.count(b"trun")]
        if kinds != in_order or kinds.count(b"tfdt") > 1:
            raise _MalformedError
        head = next(content for inner, content in boxes if inner == b"tfhd")
        flags, track = struct.unpack_from(">II", head)
        index = indices.get(track, 1)
        if flags & DESCRIPTION_INDEX:
            (index,) = struct.unpack_from(">I", head, 16 if flags & BASE_DATA_OFFSET else 8)
        runs = [struct.unpack_from(">II", content) for inner, content in boxes if inner == b"trun"]
        # Where nothing is said browsers count from the fragment, and FFmpeg from the end of what is before it.
        is_placed = is_first or flags & (BASE_DATA_OFFSET | BASE_IS_MOOF)
        told = is_placed and all(run_flags & DATA_OFFSET for run_flags, _ in runs)
        if flags & BASE_DATA_OFFSET:
            # Of the input here, and of all that came since the init section in a browser.
            told &= struct.unpack_from(">Q", head, 8) == (place,)
        if track not in known or (track not in audio and not (index == 1 and told)):
            raise _MalformedError
        samples[track] += sum(count for _, count in runs)
        is_first = False
    return samples
