"""Floods of NAL units in one picture of an MPEG-TS, found before FFmpeg parts its pictures. Runs in the decoder child.

Of H.265 it keeps all units of a picture at once, each with 4 KiB of its own: 2 MB of delimiters take 1.5 GiB. Of H.264
it does so in search of parameter sets: 1.2 MB took 1.1 s. Spread over many pictures they cost little, and so do others
of H.264, and those of MPEG.
"""

from collections import Counter
from typing import Final

import numpy as np

from sampler.demux.codecs.parameter_sets import H264_SPS, START_CODE
from sampler.demux.mpegts.headers import Numbers
from sampler.demux.mpegts.order import PacketOrder
from sampler.demux.mpegts.packets import aligned
from sampler.demux.mpegts.payloads import payloads, pieces_of
from sampler.demux.mpegts.pictures import H264_KIND, H264_TYPE, HEVC_TYPE, VideoUnits
from sampler.demux.mpegts.plain_maps import plain_types
from sampler.demux.mpegts.set_search import SetSearch
from sampler.demux.source import InputFile
from sampler.errors import TooLargeError

MOST_A_PICTURE: Final = 50_000
"""NAL units (<=) of one picture, which take FFmpeg 0.2 s. Slices cut to fit into network packets are under 1,000."""
MOST_UNKNOWN: Final = 100_000
"""The same of a whole segment, where it is not known where its pictures begin: the programme maps do not tell its
codec, or they, or its packets, can be read in two ways. 10 s of 4K with a slice for each row of blocks have 81,000;
codecs of other kinds have fewer start codes."""
ROWED_TYPES: Final = frozenset([0x01, 0x02, 0x10, H264_TYPE, HEVC_TYPE])
"""Those whose units are counted picture by picture, or which, as in MPEG-2 and MPEG-4, FFmpeg does not keep: 35 s of
MPEG-2 in 4K have over 100,000."""


def hold_units(source: InputFile, share: float) -> None:
    """Reads a whole MPEG-TS for pictures of far too many NAL units.

    Args:
        source: its bytes.
        share: so many times as many as a segment may an input have in all.

    Raises:
        TooLargeError: there is one.
        UndecodableError: it is no row of packets.
    """
    types, order, most = plain_types(source, share), PacketOrder(), max(share, 1.0) * MOST_UNKNOWN
    search, rows, units = SetSearch(types), Counter[int](), Counter[int]()
    for data in aligned(source, share):
        pieces = pieces_of(data)
        order.read(data, pieces)
        given = payloads(data, pieces)
        searched = search.searched(pieces, given, order.unclear)
        for pid, payload in given.items():
            kind = types.get(pid)
            if kind == HEVC_TYPE:
                rows[pid] = _hevc_row(payload, rows[pid])
            elif kind == H264_TYPE and (rows[pid] or searched.get(pid)):
                rows[pid] = _h264_row(payload, rows[pid], searched.get(pid, 0))
            units[pid] += payload.count(START_CODE)
        if any(units[pid] > most and (pid in order.unclear or types.get(pid) not in ROWED_TYPES) for pid in units):
            raise TooLargeError("the video has more NAL units than pictures need")


def _hevc_row(payload: bytes, before: int) -> int:
    """Units since the last picture began, at the end of more bytes of a video; `before`: at their beginning."""
    units = VideoUnits(payload)
    return _last_row(_rows(units.beginnings(HEVC_TYPE), before, len(units)))


def _h264_row(payload: bytes, before: int, searched_bytes: int) -> int:
    """The same of H.264, as far as FFmpeg searches pictures for parameter sets, else 0: up to the first one that has
    any, if it begins within so many bytes."""
    units = VideoUnits(payload)
    begins = units.beginnings(H264_TYPE)
    rows = _rows(begins, before, len(units))
    rows[1:] *= units.places[begins] < searched_bytes
    if len(sets := np.flatnonzero(units.octets[units.places] & H264_KIND == H264_SPS)):
        # They are in front of their picture, whose slices are in the next row.
        rows[np.count_nonzero(begins < sets[0]) + 2 :] = 0
    return _last_row(rows)


def _rows(begins: Numbers, before: int, count: int) -> Numbers:
    """Units from each beginning of a picture to the next, the first with what came before."""
    found: Numbers = np.diff(np.concatenate(([-before], begins, [count])))
    return found


def _last_row(rows: Numbers) -> int:
    if rows.max() > MOST_A_PICTURE:
        raise TooLargeError("a picture of the video has more NAL units than it needs")
    return int(rows[-1])
