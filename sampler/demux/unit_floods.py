"""Floods of NAL units in one picture of an MPEG-TS, found before FFmpeg parts its pictures. Runs in the decoder child.

Of H.265 it keeps all units of a picture at once, each with 4 KiB of its own: 2 MB of delimiters take 1.5 GiB. Of H.264
it does so in search of parameter sets: 1.2 MB took 1.1 s. Spread over many pictures they cost little, and so do others
of H.264, and those of MPEG.
"""

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sampler.demux.encryption import TS_PACKET_BYTES
from sampler.demux.nal import FIRST_BLOCK, HEVC_SLICES
from sampler.demux.parameter_sets import H264_SPS, START_CODE
from sampler.demux.pids import Numbers, among
from sampler.demux.plain_maps import plain_types
from sampler.demux.programmes import VIDEO_TYPES
from sampler.demux.source import InputFile
from sampler.demux.ts_packets import aligned
from sampler.demux.ts_payloads import Pieces, payloads, pieces_of
from sampler.errors import TooLargeError

MOST_A_PICTURE: Final = 50_000
"""NAL units (<=) of one picture, which take FFmpeg 0.2 s. Slices cut to fit into network packets are under 1,000."""
MOST_UNKNOWN: Final = 100_000
"""The same of a whole segment, where the programme maps do not tell its codec, or can be read in two ways: so it is not
known where its pictures begin. 10 s of 4K with a slice for each row of blocks have 81,000; codecs of other kinds have
fewer start codes."""
H264_TYPE, HEVC_TYPE = 0x1B, 0x24
"""stream_type (H.222.0, table 2-34). A descriptor may call others by this codec, too."""
UNKEPT_TYPES: Final = frozenset([0x01, 0x02, 0x10, 0x1B])
"""Those of MPEG-2, MPEG-4 and H.264, whose units FFmpeg does not keep: 35 s of MPEG-2 in 4K have over 100,000."""
H264_KIND: Final = 0x1F
"""Bits of a unit's first byte."""
H264_BEGINNINGS: Final = (1, 2, 5)
"""Kinds of slices of H.264 by which FFmpeg tells pictures apart."""
SEARCHED_BYTES: Final = 32_768
"""Pictures that begin in so many of the first of all videos (<) may be searched for parameter sets: `probesize`."""
_IS_HEVC_SLICE: Final = np.array([octet >> 1 in HEVC_SLICES and not octet & 1 for octet in range(256)])
"""By a unit's first byte."""


def hold_units(source: InputFile, share: float) -> None:
    """Reads a whole MPEG-TS for pictures of far too many NAL units.

    Args:
        source: its bytes.
        share: so many times as many as a segment may an input have in all.

    Raises:
        TooLargeError: there is one.
        UndecodableError: it is no row of packets.
    """
    types = plain_types(source, share)
    rows, unknown, searched = Counter[int](), Counter[int](), None
    for data in aligned(source, share):
        pieces = pieces_of(data)
        searched = _searched(pieces, types) if searched is None else {}
        for pid, payload in payloads(data, pieces).items():
            kind = types.get(pid)
            if kind == HEVC_TYPE:
                rows[pid] = _hevc_row(payload, rows[pid])
            elif kind == H264_TYPE and (rows[pid] or searched.get(pid)):
                rows[pid] = _h264_row(payload, rows[pid], searched.get(pid, 0))
            elif kind not in UNKEPT_TYPES:
                unknown[pid] += payload.count(START_CODE)
            if unknown[pid] > max(share, 1.0) * MOST_UNKNOWN:
                raise TooLargeError("the video has more NAL units than pictures need")


def _searched(pieces: Pieces, types: dict[int, int]) -> dict[int, int]:
    """Bytes of each video, by PID, in which FFmpeg may search for parameter sets, as it opens the input."""
    packets, sizes = pieces.begins // TS_PACKET_BYTES, np.maximum(pieces.ends - pieces.begins, 0)
    videos = [pid for pid, kind in types.items() if kind in VIDEO_TYPES]
    is_video = among(pieces.pids, videos)
    read = np.cumsum(np.bincount(packets[is_video], sizes[is_video]))
    is_early = is_video & (packets < np.count_nonzero(read < SEARCHED_BYTES))
    return {pid: int(sizes[is_early & (pieces.pids == pid)].sum()) for pid in videos}


def _hevc_row(payload: bytes, before: int) -> int:
    """Units since the last picture began, at the end of more bytes of a video; `before`: at their beginning."""
    octets, places = _units_in(payload)
    # FFmpeg begins a picture with these, whatever came before.
    is_first = (octets[places + 2] & FIRST_BLOCK > 0) & (octets[places + 1] >> 3 == 0)
    return _last_row(_rows(np.flatnonzero(is_first & _IS_HEVC_SLICE[octets[places]]), before, len(places)))


def _h264_row(payload: bytes, before: int, searched_bytes: int) -> int:
    """The same of H.264, as far as FFmpeg searches pictures for parameter sets, else 0: up to the first one that has
    any, if it begins within so many bytes."""
    octets, places = _units_in(payload)
    kinds = octets[places] & H264_KIND
    begins = np.flatnonzero((octets[places + 1] & FIRST_BLOCK > 0) & among(kinds, H264_BEGINNINGS))
    rows = _rows(begins, before, len(places))
    rows[1:] *= places[begins] < searched_bytes
    if len(sets := np.flatnonzero(kinds == H264_SPS)):
        # They are in front of their picture, whose slices are in the next row.
        rows[np.count_nonzero(begins < sets[0]) + 2 :] = 0
    return _last_row(rows)


def _units_in(payload: bytes) -> tuple[NDArray[np.uint8], Numbers]:
    """Bytes of a video, and the places of units in them."""
    octets = np.frombuffer(payload + b"\0\0", np.uint8)
    places = np.flatnonzero((octets[:-4] == 0) & (octets[1:-3] == 0) & (octets[2:-2] == 1)) + len(START_CODE)
    return octets, places[places + 2 < len(octets)]


def _rows(begins: Numbers, before: int, count: int) -> Numbers:
    """Units from each beginning of a picture to the next, the first with what came before."""
    found: Numbers = np.diff(np.concatenate(([-before], begins, [count])))
    return found


def _last_row(rows: Numbers) -> int:
    if rows.max() > MOST_A_PICTURE:
        raise TooLargeError("a picture of the video has more NAL units than it needs")
    return int(rows[-1])
