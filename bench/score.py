"""Recall and cost over all clips."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from bench.clips import INTRA_REFRESH, Clip
from bench.methods import ClipSamples

Z95 = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True, kw_only=True)
class Recall:
    """A number of detected inserts, of a total."""

    seen: int
    total: int

    @property
    def share(self) -> float:
        """Point estimate; NaN if there was nothing to detect."""
        return self.seen / self.total if self.total else math.nan

    def wilson(self) -> tuple[float, float]:
        """The 95 % interval (E. B. Wilson, Probable inference, JASA 22, 1927)."""
        if not self.total:
            return 0.0, 1.0
        spread = Z95**2 / self.total
        centre = (self.share + spread / 2) / (1 + spread)
        half = Z95 * math.sqrt(self.share * (1 - self.share) / self.total + spread / self.total / 4) / (1 + spread)
        return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one method on one clip."""

    method: str
    encoder: str
    base: str
    gop_seconds: int
    segment_seconds: float
    duration_seconds: float
    frames_total: int
    frames_decoded: int
    taken: int
    """Number of pictures to hash and to classify."""
    cpu_seconds: float
    segments_failed: int
    longest_gap_seconds: float
    """Between two sampled pictures, or the clip's ends; segment boundaries do not count as samples."""
    outcomes: tuple[tuple[float, bool], ...]
    """Duration in seconds of each hidden insert, and whether it was detected."""

    @property
    def clip(self) -> tuple[str, str, int, float]:
        """Name of the clip."""
        return (self.encoder, self.base, self.gop_seconds, self.segment_seconds)


def judge(method: str, clip: Clip, samples: ClipSamples) -> Result:
    """Compares the samples with the inserts."""
    edges = [0.0, *samples.seen_seconds, clip.duration_seconds]
    return Result(
        method=method,
        encoder=clip.encoder,
        base=clip.base,
        gop_seconds=clip.gop_seconds,
        segment_seconds=clip.segment_seconds,
        duration_seconds=clip.duration_seconds,
        frames_total=clip.frames_total,
        frames_decoded=samples.frames_decoded,
        taken=len(samples.seen_seconds),
        cpu_seconds=samples.cpu_seconds,
        segments_failed=samples.segments_failed,
        longest_gap_seconds=max(after - before for before, after in pairwise(edges)),
        outcomes=tuple((round(insert.seconds, 3), insert.is_seen(samples.seen_seconds)) for insert in clip.inserts),
    )


@dataclass(frozen=True, kw_only=True)
class Results:
    """Many results, which can be filtered and summed."""

    rows: tuple[Result, ...] = field(repr=False)

    def where(self, *, method: str | None = None, encoder: str | None = None, base: str | None = None) -> "Results":
        """Results of a method, an encoder's setting and a film; None: of any."""
        return self._those(
            lambda row: method in (None, row.method) and encoder in (None, row.encoder) and base in (None, row.base)
        )

    def with_gops(self) -> "Results":
        """Results without intra refresh, which has no keyframes but the first."""
        return self._those(lambda row: row.encoder != INTRA_REFRESH)

    def in_segments(self, seconds: float) -> "Results":
        """Results of clips in segments of that duration."""
        return self._those(lambda row: row.segment_seconds == seconds)

    def without(self, base: str) -> "Results":
        """Results of all films but one."""
        return self._those(lambda row: row.base != base)

    def _those(self, wanted: Callable[[Result], bool]) -> "Results":
        return Results(rows=tuple(row for row in self.rows if wanted(row)))

    def recall(self, wanted: Callable[[float], bool] = lambda _seconds: True) -> Recall:
        """Recall of inserts of a duration in seconds, or of all."""
        outcomes = [seen for row in self.rows for seconds, seen in row.outcomes if wanted(seconds)]
        return Recall(seen=sum(outcomes), total=len(outcomes))

    @property
    def segment_durations(self) -> tuple[float, ...]:
        """Segment durations of the clips, in seconds, ascending."""
        return tuple(sorted({row.segment_seconds for row in self.rows}))

    @property
    def decoded_share(self) -> float:
        """Share of pictures that were decoded."""
        return sum(row.frames_decoded for row in self.rows) / sum(row.frames_total for row in self.rows)

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all results."""
        return sum(row.cpu_seconds for row in self.rows)

    @property
    def stream_seconds(self) -> float:
        """Stream seconds of all results."""
        return sum(row.duration_seconds for row in self.rows)

    def milliseconds(self, picture_seconds: float) -> float:
        """CPU in milliseconds for a second of the streams, if each picture taken costs so much besides."""
        taken = sum(row.taken for row in self.rows)
        return 1000 * (self.cpu_seconds + taken * picture_seconds) / self.stream_seconds


def median_by_cpu(rounds: Iterable[Result]) -> Result:
    """The median of several results on the same clip, which differ in cost alone."""
    ordered = sorted(rounds, key=lambda row: row.cpu_seconds)
    return ordered[len(ordered) // 2]
