"""A part of the log: all rows of some streams, replayed stream by stream."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from config.facts import SegmentPosition
from config.policy.policy import Policy
from worker.replay.comparison import Compared, compare, is_given
from worker.replay.history import LoggedIncident
from worker.replay.prefilter import Prefilter
from worker.replay.rows import begin_ms, settled_segment, with_all_columns
from worker.replay.stream_replay import SettledSegment, StreamReplay, with_all_rules_live

SEGMENTS_AT_ONCE = 2_000
"""Segments whose rows are Python objects at one time: 30 MB."""


@dataclass(frozen=True, kw_only=True)
class ReplayPeriod:
    """The time of a replay, by when segments were settled and incidents raised; milliseconds of Redis's clock."""

    start_ms: int
    """The replay begins here, so that rules remember at `since_ms` what they remembered live."""
    since_ms: int
    until_ms: int
    """Exclusive."""


@dataclass(frozen=True, kw_only=True)
class PartResult:
    """The result for some streams."""

    compared: tuple[Compared, ...] = ()
    hits: Mapping[str, int]
    """By rule: pictures for which it holds."""
    problems: Mapping[str, int]
    """By slug as in `degraded`: pictures that have it."""
    streams: frozenset[str] = frozenset()
    """The replayed ones."""
    segments: int = 0
    """Settled in the replayed time."""


class Replayer:
    """Replays parts of the log with one policy."""

    def __init__(self, policy: Policy, period: ReplayPeriod) -> None:
        self._policy = policy
        self._tried = with_all_rules_live(policy)
        self._period = period
        self._prefilter = Prefilter(self._tried)

    def part(self, table: pa.Table, history: Mapping[str, Sequence[LoggedIncident]]) -> PartResult:
        """Replays all rows of some streams.

        Args:
            table: of PART_SCHEMA, in any order.
            history: the incidents of those streams.
        """
        # In one piece: else Arrow would combine nested columns anew each time that rows are taken of them.
        table = with_all_columns(table).filter(pc.field("settled_ms") < self._period.until_ms).combine_chunks()
        if not table.num_rows:
            return PartResult(hits={}, problems={})
        layout = _Layout(table)
        held = layout.segments_with(self._prefilter.rows(table))
        hits: Counter[str] = Counter()
        problems: Counter[str] = Counter()
        compared: list[Compared] = []
        for stream_id, numbers in layout.streams():
            was = history.get(stream_id, ())
            wanted = layout.with_waits(numbers, held) if self._tried.in_order else [n for n in numbers if held[n]]
            if not wanted and not was:
                continue
            keys = layout.keys(numbers) if was else frozenset()
            replay = StreamReplay(self._tried, stream_id)
            self._run(replay, was, layout.settled(wanted), keys)
            hits.update(replay.hits)
            problems.update(replay.problems)
            compared += compare(
                stream_id,
                [one for one in was if self._period.since_ms <= one.raised_ms < self._period.until_ms],
                list(replay.raised.values()),
                self._policy,
                segments=keys,
            )
        return PartResult(
            compared=tuple(compared),
            hits=hits,
            problems=problems,
            streams=layout.stream_ids,
            segments=layout.segments_since(self._period.since_ms),
        )

    def _run(
        self,
        replay: StreamReplay,
        was: Sequence[LoggedIncident],
        segments: Iterable[tuple[SettledSegment, SegmentPosition | None]],
        keys: Set[str],
    ) -> None:
        """Replays everything in its order; a decision before segments that were settled in the same millisecond."""
        period = self._period
        others: list[tuple[int, Callable[[], None]]] = [(period.since_ms, partial(replay.begin, was, period.since_ms))]
        for one in was:
            if one.decided_ms is not None and period.start_ms <= one.decided_ms < period.until_ms:
                decide = partial(
                    replay.decide,
                    one.rule,
                    one.decided_ms,
                    purpose=one.purpose,
                    incident_id=one.incident_id,
                    had_ended=one.has_ended_before(one.decided_ms + 1),
                )
                others.append((one.decided_ms, decide))
            if one.ended_ms is not None and period.start_ms <= one.ended_ms < period.until_ms:
                others.append((one.ended_ms, partial(replay.end, one)))
            others += [
                (revision.at_ms, partial(replay.revise, one, revision))
                for revision in one.revisions
                if period.start_ms <= revision.at_ms < period.until_ms
            ]
            others += [
                (event.at_ms, partial(replay.give, one, event))
                for event in one.events
                if period.start_ms <= event.at_ms < period.until_ms and is_given(event.segment_key, keys)
            ]
        waiting = deque(sorted(others, key=lambda other: other[0]))
        replay.begin(was, period.start_ms)
        for segment, pending in segments:
            while waiting and waiting[0][0] <= segment.settled_ms:
                waiting.popleft()[1]()
            replay.settle(segment, earliest_pending=pending)
        for _, then in waiting:
            then()


class _Layout:
    """The rows of segments in a table: by stream, in the order in which they were settled."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        streams = table["stream_id"].combine_chunks().dictionary_encode()
        keys = table["segment_key"].combine_chunks().dictionary_encode()
        self._stream_ids = streams.dictionary.to_pylist()
        self._keys = keys.dictionary.to_pylist()
        stream, key = streams.indices.to_numpy(), keys.indices.to_numpy()
        pts, settled_ms = table["pts_seconds"].to_numpy(), table["settled_ms"].to_numpy()
        self._rows = np.lexsort((pts, key, table["settled_after"].to_numpy(), settled_ms, stream))
        stream, key = stream[self._rows], key[self._rows]
        begins = (np.diff(stream, prepend=-1) != 0) | (np.diff(key, prepend=-1) != 0)
        self._first = np.flatnonzero(begins)
        self._end = np.append(self._first[1:], len(stream))
        self._stream = stream[self._first]
        self._key = key[self._first]
        first = self._rows[self._first]
        self._settled_ms = settled_ms[first]
        self._begin_ms = table["capture_ms"].to_numpy()[first] - np.rint(pts[first] * 1000).astype(np.int64)

    @property
    def stream_ids(self) -> frozenset[str]:
        return frozenset(self._stream_ids)

    def segments_since(self, settled_ms: int) -> int:
        """The number of those settled then or later."""
        return int((self._settled_ms >= settled_ms).sum())

    def segments_with(self, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """(segments,): segments with any of the table's `rows` (n,)."""
        return np.logical_or.reduceat(rows[self._rows], self._first)

    def streams(self) -> Iterator[tuple[str, range]]:
        """Each stream, and the numbers of its segments in order."""
        edges = np.flatnonzero(np.diff(self._stream, prepend=-1, append=-1))
        for first, end in pairwise(edges):
            yield self._stream_ids[self._stream[first]], range(int(first), int(end))

    def with_waits(self, numbers: range, held: npt.NDArray[np.bool_]) -> list[int]:
        """Segments of one stream that are `held`; with those that these may have waited for, and all that were settled
        meanwhile, since no wait is unbounded."""
        held, begin_ms = held[numbers.start : numbers.stop], self._begin_ms[numbers.start : numbers.stop]
        wanted = held.copy()
        latest_ms = np.maximum.accumulate(np.where(held, begin_ms, -1))
        for late in np.flatnonzero(begin_ms[1:] <= latest_ms[:-1]) + 1:
            wanted[np.searchsorted(latest_ms, begin_ms[late]) : late + 1] = True
        return [number for number, is_wanted in zip(numbers, wanted.tolist(), strict=True) if is_wanted]

    def keys(self, numbers: Iterable[int]) -> frozenset[str]:
        """Keys of segments."""
        return frozenset(self._keys[self._key[number]] for number in numbers)

    def settled(self, numbers: Sequence[int]) -> Iterator[tuple[SettledSegment, SegmentPosition | None]]:
        """Segments of one stream, each with the earliest position of those of its epoch that come after it."""
        pending = self._pending(numbers)
        for begin in range(0, len(numbers), SEGMENTS_AT_ONCE):
            some = numbers[begin : begin + SEGMENTS_AT_ONCE]
            indices = np.concatenate([self._rows[self._first[number] : self._end[number]] for number in some])
            rows = iter(self._table.take(pa.array(indices)).to_pylist())
            for at, number in enumerate(some, begin):
                mine = list(islice(rows, int(self._end[number] - self._first[number])))
                yield settled_segment(mine), pending[at]

    def _pending(self, numbers: Sequence[int]) -> list[SegmentPosition | None]:
        firsts = self._table.select(["generation", "epoch", "capture_ms", "pts_seconds"]).take(
            pa.array(self._rows[self._first[list(numbers)]])
        )
        earliest: dict[tuple[int, int], SegmentPosition] = {}
        pending: list[SegmentPosition | None] = [None] * len(numbers)
        for at, row in reversed(list(enumerate(firsts.to_pylist()))):
            watch = (row["generation"], row["epoch"])
            pending[at] = earliest.get(watch)
            position = SegmentPosition(begin_ms(row), self._keys[self._key[numbers[at]]])
            earliest[watch] = min(position, earliest.get(watch, position))
        return pending
