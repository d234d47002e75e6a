"""Bounds of a plan: samples by half seconds, and macroblocks that are decoded and handed over.

Both are counted from the plan, not in CPU time: a segment's plan is the same on every worker.
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from config.profiles import SamplingProfile
from sampler.demux.packets import PacketRun, VideoPacket

HALF_SECOND = 0.5
"""Tokens come by so much of the timeline: what is spent there leaves the rest of the segment its own."""
BURST_SECONDS = 1.0
"""Tokens of so much time can be spent at once; those that are not spent sooner are lost."""
SHORTEST_SECONDS = 0.5
"""So much time has an input that is shorter: parts of low-latency streams would be refused for what they lack. With 1.0
an all-intra stream in segments of 0.5 s took 19 times a talking head's CPU, with 0.5 it takes 10."""


INPUT_SECONDS = 0.1
"""Time of an input that nothing is decoded for: opening it costs as much, which counts in segments of half a second."""
READ_BYTES, READ_SHARE = 60, 0.5
"""Bytes of an input, decoded or not, that take as long to read as a macroblock of H.264 to decode; and the part of the
bound that reading takes at most, for profiles that allow few. A seventh of what 360p at 120 with CRF 2 takes is reading
what is not decoded; null packets of an MPEG-TS, and filler, cost as much."""


class DecodingCost(NamedTuple):
    """Cost of decoding, in macroblocks of H.264."""

    macroblock: float
    byte: float
    """A byte of a packet costs it besides."""


DECODING_COST = DecodingCost(1.0, 0.45)
"""H.264 takes 0.25 µs a macroblock and 0.1 µs a byte, over 12 streams of 720p with 0.2 to 30 bytes a macroblock, on a
machine that was half as fast as it can be (2026-11-29), and a byte somewhat more on a fast one. Both count: what has
many bytes has many pictures too."""
DECODING_COSTS = {
    "hevc": DecodingCost(1.7, 0.7),
    "libdav1d": DecodingCost(1.0, 1.0),
    "vp9": DecodingCost(1.3, 0.9),
    "libvpx-vp9": DecodingCost(1.3, 0.9),
    "mpeg2video": DecodingCost(0.7, 0.2),
}
"""Other decoders, as FFmpeg calls them, likewise: by 6 streams of HEVC, 3 of AV1 and 3 of VP9, of 0.2 to 3.3 bytes a
macroblock, and by what the most expensive streams take together (`bench.hiding --part worst`). MPEG-2 by 6 of 1.8 to
444: none takes more than half of that."""
MACROBLOCK_PIXELS = 256
FIRST_BYTES = 1_500_000
"""Bytes for each second of the input over which (>) even its first sample is refused: a keyframe of 33 MB in 2 s took
67 times a talking head's CPU."""
FIRST_PICTURES = 16
"""Pictures of one packet, hidden ones among them, over which (>) it is refused as well: AV1 keeps eight, and a thousand
in 20 kB took 4 s."""
COMPARED_MACROBLOCKS, COMPARED_SHARE = 4_500, 1 / 200
"""Macroblocks that a picture of a watched run counts for at least, to be measured and compared, and the run as many
besides; and the most that it is of a second's, for profiles that allow few. Without them 990 keyframes of 64×64 a
second, each a run, took 25 times a talking head's CPU, with them 11."""
COMPARED_RATE = 60
"""Pictures a second of a run beyond which (>) each counts for as many macroblocks besides: comparing takes 0.4 ms at
any size. Watched whole, 150 to 180 pictures of 360p a second in H.265 and VP9 took 16 times a talking head's CPU, and
13 with 100 in place of 60."""
HANDED_OVER = 12
"""Macroblocks for each of a sample's that it costs the parent: to copy, to hash and to scale."""
JUDGED_MACROBLOCKS, JUDGED_SHARE = 100_000, 0.6
"""Macroblocks that a sample counts for besides, to be matched and classified, whatever its size: what 20 ms decode; and
the most that all samples of a second may take so, as a share of its macroblocks, for profiles that allow few. Without
it a montage of 1080p in x265, five times as fast, took 17 times a talking head's CPU, with it 12."""


def shared(profile: SamplingProfile, tracks: int) -> SamplingProfile:
    """The profile by which each of several video tracks is sampled, so that all cost what one may.

    Gaps stay: they are a promise for each track.
    """
    if tracks == 1:
        return profile
    return profile.model_copy(
        update={
            "keyframe_spacing_seconds": profile.keyframe_spacing_seconds * tracks,
            "cuts_per_second": profile.cuts_per_second / tracks,
            "audits_per_minute": profile.audits_per_minute / tracks,
            "samples_per_second": profile.samples_per_second / tracks,
            "macroblocks_per_second": profile.macroblocks_per_second // tracks,
        }
    )


def cost_of(decoder: str) -> DecodingCost:
    """The cost of decoding; `decoder` as FFmpeg calls it."""
    return DECODING_COSTS.get(decoder, DECODING_COST)


class SampleBudget:
    """A bucket of tokens, one a sample, filled by half seconds of the timeline."""

    def __init__(
        self, samples_per_second: float, start_seconds: float, *, burst_seconds: float = BURST_SECONDS
    ) -> None:
        """The bucket is full at `start_seconds`."""
        self._rate = samples_per_second
        self._most = max(min(math.ceil(samples_per_second * burst_seconds), samples_per_second * BURST_SECONDS), 1.0)
        self._tokens = self._most
        self._start_seconds = start_seconds
        self._half_second = 0

    def half_second(self, seconds: float) -> int:
        """The half second of an instant, from the start."""
        return math.floor((seconds - self._start_seconds) / HALF_SECOND + 1e-9)

    def spend(self, half_second: int, count: int = 1, *, owed: bool = False, reserve: float = 0.0) -> bool:
        """Takes tokens for samples of a half second, which only goes on; False: there are too few, and none is taken.

        Args:
            half_second: as `half_second` gives it.
            count: samples.
            owed: they are taken all the same, and those after them wait.
            reserve: share of a full bucket that must be left.
        """
        passed = max(half_second - self._half_second, 0)
        self._half_second += passed
        self._tokens = min(self._tokens + passed * HALF_SECOND * self._rate, self._most)
        if self._tokens - count < reserve * self._most and not owed:
            return False
        self._tokens -= count
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodingBound:
    """The macroblocks that a plan may have decoded."""

    macroblocks: float
    """In all."""
    picture_macroblocks: float
    """Cost of one picture; 0: not known, and nothing is bounded."""
    byte_macroblocks: float = DECODING_COST.byte
    """Cost of a byte."""
    shown_macroblocks: float = 0.0
    """Size of a picture."""
    judged_macroblocks: float = 0.0
    """Macroblocks that a sample counts for besides its pictures."""
    compared_macroblocks: float = 0.0
    """Macroblocks that a picture of a watched run counts for at least, and the run besides."""
    burst_seconds: float = BURST_SECONDS
    """Samples of so much time can be taken at once: no more than the video has."""
    first_bytes: float = 0.0
    """The first sample is taken, whatever it costs, if its packet has no more bytes (<=): a segment without one was not
    moderated."""

    @classmethod
    def of(
        cls,
        profile: SamplingProfile,
        *,
        span_seconds: float,
        picture_macroblocks: float,
        decoder: str = "",
        read_bytes: float = 0.0,
    ) -> "DecodingBound":
        """The bound of `span_seconds` of video. What half a second may cost, the shortest input may.

        Args:
            picture_macroblocks: size of a picture; 0: not known, and nothing is bounded.
            decoder: as FFmpeg calls it; some take more CPU than others.
            read_bytes: of the input.
        """
        seconds = max(span_seconds, SHORTEST_SECONDS)
        macroblocks = profile.macroblocks_per_second * (seconds - INPUT_SECONDS)
        return cls(
            macroblocks=macroblocks - min(read_bytes / READ_BYTES, READ_SHARE * macroblocks),
            first_bytes=FIRST_BYTES * max(seconds, BURST_SECONDS),
            burst_seconds=min(seconds, BURST_SECONDS),
            picture_macroblocks=cost_of(decoder).macroblock * picture_macroblocks,
            byte_macroblocks=cost_of(decoder).byte,
            shown_macroblocks=picture_macroblocks,
            compared_macroblocks=min(COMPARED_MACROBLOCKS, COMPARED_SHARE * profile.macroblocks_per_second),
            judged_macroblocks=min(
                JUDGED_MACROBLOCKS,
                JUDGED_SHARE * profile.macroblocks_per_second / max(profile.samples_per_second, 1.0),
            ),
        )

    def left(self, pictures: int, samples: int, *, size_bytes: int) -> float:
        """The macroblocks that are left once so many pictures of so many bytes were decoded, and so many of them handed
        over."""
        decoded = pictures * self.picture_macroblocks + size_bytes * self.byte_macroblocks
        return max(self.macroblocks - decoded - self.handed_over(samples), 0.0)

    def picture_cost(self, packet: VideoPacket) -> float:
        """Macroblocks that decoding a packet counts for: its pictures', and those that its bytes cost besides."""
        if not self.picture_macroblocks:
            return 0.0
        return packet.pictures * self.picture_macroblocks + packet.size_bytes * self.byte_macroblocks

    def handed_over(self, samples: int) -> float:
        """Macroblocks that handing over so many pictures counts for."""
        if not self.picture_macroblocks:
            return 0.0
        return samples * (HANDED_OVER * self.shown_macroblocks + self.judged_macroblocks)

    def run_cost(self, packets: Sequence[VideoPacket], run: PacketRun, samples: int) -> float:
        """Macroblocks that watching a run counts for, of which so many pictures are handed over."""
        if not self.picture_macroblocks:
            return 0.0
        pictures = packets[run.start : run.tail]
        seconds = [packet.seconds for packet in pictures]
        ordinary = COMPARED_RATE * (max(seconds) - min(seconds)) + 1
        decoded = sum(max(self.picture_cost(packet), self.compared_macroblocks) for packet in pictures)
        compared = 1 + max(len(pictures) - ordinary, 0)
        return decoded + compared * self.compared_macroblocks + self.handed_over(samples)

    def refuse(
        self,
        packets: Sequence[VideoPacket],
        runs: Sequence[PacketRun],
        targets: Mapping[int, Sequence[int]],
        watched: Set[int],
    ) -> tuple[list[int], float]:
        """The targets that are dropped, so that the bound holds; and the macroblocks that are left then.

        Of the run that costs most the last is dropped first, since what it leans on is decoded for it.

        Args:
            packets: of the window.
            runs: in decoding order.
            targets: number of a run -> its targets, by presentation time.
            watched: numbers of runs that are decoded whole, of which nothing is dropped.
        """
        if not self.picture_macroblocks:
            return [], math.inf
        left = {number: sorted(indices) for number, indices in targets.items() if indices and number not in watched}
        costs = {number: self._costs(packets, runs[number], indices) for number, indices in left.items()}
        total = sum(cost[-1] for cost in costs.values())
        total += sum(self.run_cost(packets, runs[number], len(targets[number])) for number in watched)
        first = min(targets, default=None)
        if first in left and self._is_too_much(packets[left[first][0]]):
            first = None
        heap = [(-cost[-1], -number) for number, cost in costs.items() if len(cost) > (number == first)]
        heapq.heapify(heap)
        dropped: list[int] = []
        while heap and total > self.macroblocks:
            number = -heapq.heappop(heap)[1]
            total -= costs[number].pop()
            dropped.append(left[number].pop())
            if costs[number]:
                total += costs[number][-1]
            if len(costs[number]) > (number == first):
                heapq.heappush(heap, (-costs[number][-1], -number))
        return dropped, self.macroblocks - total

    def _is_too_much(self, packet: VideoPacket) -> bool:
        """True if a packet is too much even for a first sample."""
        return packet.size_bytes > self.first_bytes or packet.pictures > FIRST_PICTURES

    def _costs(self, packets: Sequence[VideoPacket], run: PacketRun, targets: Iterable[int]) -> list[float]:
        """For each target, in decoding order, the macroblocks decoded and handed over if it is the last."""
        costs = []
        decoded, at = 0.0, run.start
        for count, target in enumerate(targets, 1):
            decoded += sum(self.picture_cost(packet) for packet in packets[at:target] if packet.reference)
            decoded += self.picture_cost(packets[target])
            at = target + 1
            costs.append(decoded + self.handed_over(count))
        return costs
