"""A replay: reads the verdict log once, sorts it by stream, and evaluates a policy on it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from config.policy.policy import Policy
from config.profiles import PROFILES
from worker.errors import ObjectStoreError, ReplayError
from worker.events.cloudevent import rfc3339
from worker.replay.comparison import Compared, IncidentChange, RuleTally, compare, tally
from worker.replay.history import History
from worker.replay.near import RuleReach
from worker.replay.part import PartResult, Replayer, ReplayPeriod
from worker.replay.prefilter import score_columns
from worker.replay.rows import PART_SCHEMA
from worker.replay.spool import RowSpool
from worker.replay.thresholds import Threshold, thresholds
from worker.store.object_store import ObjectStore
from worker.verdictlog.files import LogFile, folders
from worker.verdictlog.reading import count_rows, read_log
from worker.verdictlog.tables import OUTCOMES, VERDICTS

LATE_MS = 600_000
"""The longest time from capture to settlement that a replay reads: a segment is gone from its origin long before."""

BINS = 100
"""Number of bins of a histogram of scores, from 0 to 1."""

Advance = Callable[[int], None]
"""Called with the number of rows done since the last call; each row counts twice, once read and once replayed."""


@dataclass(kw_only=True)
class ScoreCounts:
    """Histograms of scores, by "<model>/<label>", and pictures on the right of each threshold."""

    thresholds: tuple[Threshold, ...] = ()
    counts: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    """(BINS,) counts of [0, 0.01), … [0.99, 1]."""
    right: Counter[Threshold] = field(default_factory=Counter)
    """Pictures with a score above a threshold, or just at it where its rule counts that as above."""

    def add(self, scores: pa.ChunkedArray) -> None:
        """Counts the scores of some rows."""
        for name, values in score_columns(scores, _names(scores)).items():
            finite = values[np.isfinite(values)]
            counted, _ = np.histogram(finite, bins=BINS, range=(0.0, 1.0))
            self.counts[name] = self.counts.get(name, np.zeros(BINS, np.int64)) + counted
            for one in self.thresholds:
                if one.score == name:
                    over = finite > one.value if one.above else finite >= one.value
                    self.right[one] += int(np.count_nonzero(over))


def _names(scores: pa.ChunkedArray) -> tuple[str, ...]:
    return tuple(sorted({name for chunk in scores.chunks for name in chunk.keys.unique().to_pylist()}))


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """The incidents that a policy would have raised, beside those that were raised."""

    period: ReplayPeriod
    policy: Policy
    compared: tuple[Compared, ...]
    """By capture time."""
    tallies: tuple[RuleTally, ...]
    scores: ScoreCounts
    rows: int
    """Pictures captured in the replayed time."""
    streams: int
    segments: int
    policies: Mapping[str, int]
    """Version of the policy in force -> pictures evaluated by it."""
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Files of the log that were left out -> the reason."""

    def changes(self) -> Counter[IncidentChange]:
        """The number of incidents with each change."""
        return Counter(one.change for one in self.compared)

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Rules whose counts are incomplete, and why."""
        for one in self.tallies:
            if one.failed:
                yield (
                    one.rule,
                    f"cannot be evaluated on {one.failed:,} of the pictures, and raises nothing for them: a value, "
                    "perhaps of `stream.metadata`, is of another type there than the rule expects",
                )
            if one.slow:
                yield one.rule, f"takes too long on {one.slow:,} of the pictures at least"

    def records(self) -> Iterator[dict[str, Any]]:
        """As `livewarden policy replay --json` prints it."""
        yield from (one.to_record() for one in self.compared)
        yield from (one.to_record() for one in self.tallies)
        for rule, text in self.warnings():
            yield {"type": "warning", "rule": rule, "text": text}
        yield {
            "type": "summary",
            "policy_version": self.policy.version,
            "since": rfc3339(self.period.since_ms),
            "until": rfc3339(self.period.until_ms),
            "pictures": self.rows,
            "segments": self.segments,
            "streams": self.streams,
            "was": sum(one.was is not None for one in self.compared),
            "would_be": sum(
                (one.would is not None and one.change is not IncidentChange.SHADOW)
                or one.change is IncidentChange.GIVEN
                for one in self.compared
            ),
            **{str(change): self.changes()[change] for change in IncidentChange},
            "rules_failed": {one.rule: one.failed for one in self.tallies if one.failed},
            "rules_slow": {one.rule: one.slow for one in self.tallies if one.slow},
            "policies_in_force": dict(self.policies),
            "files_damaged": len(self.damaged),
        }


def period_of(policy: Policy, *, since_ms: int, until_ms: int) -> ReplayPeriod:
    """The time to replay, so that rules remember at `since_ms` what they remembered live."""
    reach = RuleReach.of(policy)
    longest_gap_seconds = max(profile.max_gap_seconds for profile in (PROFILES | policy.profiles).values())
    samples_ms = round((reach.window_samples + reach.persistence_samples) * longest_gap_seconds * 1000)
    remembered_ms = max(rule.persistence.remembered_ms for rule in policy.rules)
    return ReplayPeriod(
        start_ms=max(0, since_ms - remembered_ms - reach.window_ms - samples_ms), since_ms=since_ms, until_ms=until_ms
    )


def expect_log(store_url: str) -> None:
    """Checks that there is a log: without one, no incident would differ.

    Raises:
        ReplayError: there is none.
        ObjectStoreError: the store is away.
    """
    store = ObjectStore(store_url)
    if not any(folders(store, table.root) for table in (VERDICTS, OUTCOMES)):
        place = f"{store_url}: " if "://" not in store_url else ""  # a URL may carry a password
        raise ReplayError(
            f"{place}there is no verdict log: expected LIVEWARDEN_STORE_URL to name the store that workers write to"
        )


def rows_to_read(store_url: str, period: ReplayPeriod) -> int:
    """The approximate number of rows that `replay` will read.

    Raises:
        ObjectStoreError: the store is away.
    """
    return count_rows(ObjectStore(store_url), period.start_ms - LATE_MS, period.until_ms)


def replay(store_url: str, policy: Policy, period: ReplayPeriod, *, rows: int, advance: Advance) -> ReplayResult:
    """Replays the log with a policy.

    Args:
        rows: as `rows_to_read` returned them.

    Raises:
        ObjectStoreError: the store is away.
        ReplayError: the disk has no room for the log.
    """
    damaged: dict[str, str] = {}

    def left_out(file: LogFile, error: ObjectStoreError) -> None:
        damaged[file.path] = str(error)

    history = History.read(store_url, until_ms=period.until_ms, left_out=left_out)
    seen = _LoggedCounts(scores=ScoreCounts(thresholds=tuple(one for rule in policy.rules for one in thresholds(rule))))
    replayer = Replayer(policy, period)
    parts: list[PartResult] = []
    with RowSpool(PART_SCHEMA, rows=rows) as spool:
        columns = [*PART_SCHEMA.names, "policy_version"]
        for batch in read_log(store_url, period.start_ms - LATE_MS, period.until_ms, columns, left_out=left_out):
            spool.add(batch.select(PART_SCHEMA.names))
            seen.add(batch, since_ms=period.since_ms)
            advance(batch.num_rows)
        for table in spool.tables():
            parts.append(replayer.part(table, history.by_stream))
            advance(table.num_rows)
    compared = [one for part in parts for one in part.compared]
    compared += _unlogged(history, frozenset[str]().union(*(part.streams for part in parts)), policy, period)
    compared.sort(key=lambda one: (one.captured_ms, one.stream_id, one.rule))
    hits: Counter[str] = Counter()
    problems: Counter[str] = Counter()
    for part in parts:
        hits.update(part.hits)
        problems.update(part.problems)
    return ReplayResult(
        period=period,
        policy=policy,
        compared=tuple(compared),
        tallies=tuple(tally(policy, compared, hits, problems)),
        scores=seen.scores,
        rows=seen.policies.total(),
        streams=len(seen.streams),
        segments=sum(part.segments for part in parts),
        policies=seen.policies,
        damaged=damaged,
    )


@dataclass(kw_only=True)
class _LoggedCounts:
    """Counts of the pictures captured in the replayed time, without the run-up before it."""

    scores: ScoreCounts
    policies: Counter[str] = field(default_factory=Counter)
    streams: set[str] = field(default_factory=set)

    def add(self, batch: pa.RecordBatch, *, since_ms: int) -> None:
        table = pa.Table.from_batches([batch])
        if batch.num_rows and batch.column("capture_ms").to_numpy().min() < since_ms:
            table = table.filter(pc.field("capture_ms") >= since_ms)
        self.scores.add(table["scores"])
        self.streams.update(table["stream_id"].unique().to_pylist())
        pictures = table.filter(pc.field("reason").is_valid())
        for version in pictures["policy_version"].value_counts().to_pylist():
            self.policies[version["values"] or "unknown"] += version["counts"]


def _unlogged(history: History, replayed: Set[str], policy: Policy, period: ReplayPeriod) -> Iterator[Compared]:
    """Incidents of streams that the log does not hold."""
    for stream_id, incidents in history.by_stream.items():
        if stream_id not in replayed:
            was = [one for one in incidents if period.since_ms <= one.raised_ms < period.until_ms]
            yield from compare(stream_id, was, [], policy, segments=frozenset())
