"""Floods of NAL units in one picture of an MPEG-TS, found before FFmpeg parts its pictures. Runs in the decoder child.

Of H.265 it keeps all units of a picture at once, each with 4 KiB of its own: 2 MB of delimiters take 1.5 GiB. Spread
over many pictures they cost little, and so do those of H.264 and of MPEG.
"""

from collections import Counter
from typing import Final

import numpy as np

from sampler.demux.encryption import TS_PACKET_BYTES
from sampler.demux.nal import FIRST_BLOCK, HEVC_SLICES
from sampler.demux.parameter_sets import START_CODE
from sampler.demux.pids import NULL_PID, read_tables, streams_in
from sampler.demux.programmes import ProgrammeMaps
from sampler.demux.source import InputFile
from sampler.demux.ts_packets import aligned
from sampler.demux.ts_payloads import payloads, pieces_of
from sampler.errors import TooLargeError

MOST_A_PICTURE: Final = 50_000
"""NAL units (<=) of one picture, which take FFmpeg 0.2 s. Slices cut to fit into network packets are under 1,000."""
MOST_UNKNOWN: Final = 100_000
"""The same of a whole segment, where the programme maps do not tell its codec, or not with one voice: so it is not
known where its pictures begin. 10 s of 4K with a slice for each row of blocks have 81,000; codecs of other kinds have
fewer start codes."""
HEVC_TYPE = 0x24
"""stream_type (H.222.0, table 2-34). A descriptor may call others by this codec, too."""
UNKEPT_TYPES: Final = frozenset([0x01, 0x02, 0x10, 0x1B])
"""Those of MPEG-2, MPEG-4 and H.264, whose units FFmpeg does not keep: 35 s of MPEG-2 in 4K have over 100,000."""
_IS_SLICE: Final = np.array([octet >> 1 in HEVC_SLICES and not octet & 1 for octet in range(256)])
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
    types = _stream_types(source, share)
    rows, unknown = Counter[int](), Counter[int]()
    for data in aligned(source, share):
        for pid, payload in payloads(data, pieces_of(data)).items():
            kind = types.get(pid)
            if kind == HEVC_TYPE:
                rows[pid] = _row_behind(payload, rows[pid])
            elif kind not in UNKEPT_TYPES:
                unknown[pid] += payload.count(START_CODE)
            if unknown[pid] > max(share, 1.0) * MOST_UNKNOWN:
                raise TooLargeError("the video has more NAL units than pictures need")


def _stream_types(source: InputFile, share: float) -> dict[int, int]:
    """Types of streams by PID; none where one has two."""
    maps, streams = ProgrammeMaps(known=(), videos=range(NULL_PID)), frozenset[int]()
    for data in aligned(source, share):
        rows = np.frombuffer(data, np.uint8).reshape(-1, TS_PACKET_BYTES)
        streams = streams_in(rows, streams)
        read_tables(rows, streams, maps)
    maps.close()
    return {} if maps.differ else maps.types


def _row_behind(payload: bytes, before: int) -> int:
    """Units since the last picture began, at the end of more bytes of a video; `before`: at their beginning."""
    octets = np.frombuffer(payload + b"\0\0", np.uint8)
    places = np.flatnonzero((octets[:-4] == 0) & (octets[1:-3] == 0) & (octets[2:-2] == 1)) + len(START_CODE)
    places = places[places + 2 < len(octets)]
    # FFmpeg begins a picture with these, whatever came before.
    begins = _IS_SLICE[octets[places]] & (octets[places + 1] >> 3 == 0) & (octets[places + 2] & FIRST_BLOCK > 0)
    rows = np.diff(np.concatenate(([-before], np.flatnonzero(begins), [len(places)])))
    if rows.max() > MOST_A_PICTURE:
        raise TooLargeError("a picture of the video has more NAL units than it needs")
    return int(rows[-1])
