"""The beginning of an MPEG-TS, in which FFmpeg searches pictures for parameter sets as it opens it. Runs in the decoder
child."""

import sys
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

import numpy as np

from sampler.demux.mpegts.headers import Numbers
from sampler.demux.mpegts.payloads import Pieces
from sampler.demux.mpegts.pictures import H264_TYPE, HEVC_TYPE, VideoUnits

SEARCHED_BYTES: Final = 32_768
"""The search is over once so many bytes of pictures were read: `probesize`."""


class SetSearch:
    """Follows the search through an input, which is given to it piece by piece.

    A picture counts as read once the one behind it has begun, and with it all up to its own first slice: what is in
    front of a slice, be it long, belongs to a picture that has no end yet.
    """

    def __init__(self, types: Mapping[int, int]) -> None:
        """`types`: of streams, by PID."""
        self._kinds = {pid: kind for pid, kind in types.items() if kind in (H264_TYPE, HEVC_TYPE)}
        self._bytes, self._latest, self._whole = Counter[int](), Counter[int](), Counter[int]()
        """By PID: bytes of a video so far, those before its latest picture, and those before the one before that."""

    def searched(self, pieces: Pieces, videos: Mapping[int, bytes], unclear: Collection[int]) -> dict[int, int]:
        """Bytes of each video, by PID, that come before the end of the search.

        Args:
            pieces: places of payloads.
            videos: the payloads, by PID.
            unclear: PIDs of which FFmpeg may pass over some: these end no search.
        """
        if sum(self._whole.values()) >= SEARCHED_BYTES:
            return {}
        sizes = np.maximum(pieces.ends - pieces.begins, 0)
        own = {pid: np.flatnonzero(pieces.pids == pid) for pid in self._kinds if pid in videos}
        packets, read = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
        for pid in own.keys() - set(unclear):
            places, whole = self._read_pictures(pid, videos[pid])
            ends = np.cumsum(sizes[own[pid]])
            packets.append(pieces.packets[own[pid][np.searchsorted(ends, places, side="right")]])
            read.append(np.diff(whole))
        order = np.argsort(np.concatenate(packets), kind="stable")
        before = sum(self._whole.values()) - sum(int(some.sum()) for some in read)
        is_over = before + np.cumsum(np.concatenate(read)[order]) >= SEARCHED_BYTES
        last = min(np.concatenate(packets)[order][is_over].tolist(), default=sys.maxsize)
        return {pid: int(sizes[some[pieces.packets[some] < last]].sum()) for pid, some in own.items()}

    def _read_pictures(self, pid: int, payload: bytes) -> tuple[Numbers, Numbers]:
        """Places in more bytes of a video where pictures begin; and bytes that count as read before, and at each."""
        units = VideoUnits(payload)
        places = units.places[units.beginnings(self._kinds[pid])]
        whole = np.concatenate(([self._whole[pid], self._latest[pid]], places + self._bytes[pid]))
        self._bytes[pid] += len(payload)
        self._whole[pid], self._latest[pid] = whole[-2:].tolist()
        return places, whole[:-1]
