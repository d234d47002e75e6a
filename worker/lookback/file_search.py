"""The search of a look-back in the files of the verdict log, from the newest to the oldest."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from config.facts import ListMatch
from models.bank.bank import MAX_MATCHES_A_LIST
from models.bank.delta import BankChange
from models.bank.entries import Entry, ListSpec
from models.bank.join import join
from models.bank.sweep import HASH_BYTES, NearPairs, sweep
from models.pdq.pdq import MIN_QUALITY
from models.pdq.variant_kinds import Variant
from worker.lookback.jobs import Job
from worker.store.object_store import ObjectStore
from worker.verdictlog.files import HOUR_MS, LogFile, folders
from worker.verdictlog.hashes import KINDS, LoggedHashes, read_hashes
from worker.verdictlog.reading import LeftOut, LogReader, files_in, leaving_out, log_left_out
from worker.verdictlog.retention import merged_with
from worker.verdictlog.rows import SAMPLE_COLUMNS, SOURCE_COLUMNS, STREAM_COLUMNS, Row

SWEPT = 2_000
"""Sought hashes up to which (<=) a sweep is faster than a join."""

NEAREST = MAX_MATCHES_A_LIST
"""Entries of a list that are returned of one picture if many are sought, as of live matches."""


@dataclass(frozen=True, kw_only=True)
class SearchPace:
    """The size of a step, after which the position of the search is recorded."""

    hashes: int
    """Logged hashes of a step."""
    seconds: float
    """A step ends after these, even with fewer hashes."""


IN_A_TASK = SearchPace(hashes=262_144, seconds=0.5)
"""8 MB of hashes, and a step of about a second."""

IN_BULK = SearchPace(hashes=2_097_152, seconds=10.0)
"""64 MB of hashes: the tables of a join take four seconds to build, for any number of hashes."""

MOST_FRAMES = 100
"""Pictures of one step and one stream that are returned: a still picture would else be returned 2,000 times an hour. An
incident shows the 20 nearest matches."""

LATE_MS = 60_000
"""The most by which a file's date precedes its visibility; the last pass begins so much earlier."""

COLUMNS = (*STREAM_COLUMNS, *SAMPLE_COLUMNS, *SOURCE_COLUMNS, "pdq", "generation", "model_versions")
"""Columns of what a rule sees, what events publish of the picture, and where it belongs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HashQuery:
    """The hashes that the log is searched for."""

    lists: tuple[str, ...]
    """(k,): for each hash, as in the arrays below."""
    entries: tuple[Entry, ...]
    hashes: npt.NDArray[np.uint8]
    """(k, 32)."""
    max_distances: npt.NDArray[np.uint8]
    min_qualities: npt.NDArray[np.uint8]
    kinds: npt.NDArray[np.bool_]
    """(k, KINDS): whether the picture as it is, or transformed that way, is compared with it."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """List -> version."""
    specs: Mapping[str, ListSpec] = field(default_factory=dict)
    """List -> its settings."""

    @classmethod
    def of(cls, changes: Iterable[BankChange], specs: Mapping[str, ListSpec], versions: Mapping[str, str]) -> Self:
        """The hashes of changes that add PDQ hashes; those of lists that do not exist any more are left out."""
        added = [(change.list, change.entry) for change in changes if change.entry is not None]
        known = [(name, entry, specs[name]) for name, entry in added if name in specs]
        return cls(
            lists=tuple(name for name, _, _ in known),
            entries=tuple(entry for _, entry, _ in known),
            hashes=np.frombuffer(b"".join(entry.value for _, entry, _ in known), np.uint8).reshape(-1, HASH_BYTES),
            max_distances=np.array([spec.max_distance for _, _, spec in known], np.uint8),
            min_qualities=np.array([max(spec.min_quality, MIN_QUALITY) for _, _, spec in known], np.uint8),
            kinds=np.array(
                [[kind is None or kind in spec.variants for kind in KINDS] for _, _, spec in known], np.bool_
            ).reshape(-1, len(KINDS)),
            versions=versions,
            specs=specs,
        )

    @property
    def size(self) -> int:
        return len(self.entries)

    def near(self, logged: LoggedHashes) -> NearPairs:
        """Returns pairs of logged and sought hashes within the list's distance, quality and transformations; of a list
        with many hashes, the NEAREST to each picture."""
        parts = [NearPairs.none()]
        for name in dict.fromkeys(self.lists):
            own = np.flatnonzero(np.array([of == name for of in self.lists]))
            first = own[0]  # the settings of a list hold for all of its hashes
            compared = (logged.qualities >= self.min_qualities[first]) & self.kinds[first][logged.kinds]
            rows = np.flatnonzero(compared)
            hashes, sought, limits = logged.bits[rows], self.hashes[own], self.max_distances[own]
            few = len(own) <= SWEPT
            near = sweep(hashes, sought, limits) if few else join(hashes, sought, limits, nearest=NEAREST)
            parts.append(NearPairs(hashes=rows[near.hashes], sought=own[near.sought], distances=near.distances))
        return NearPairs.joined(parts)

    def matched(self, found: Iterable["LoggedMatch"]) -> list[tuple[Row, ListMatch]]:
        """Converts matches into rows and the form of policy and events."""
        return [(one.row, self.match(one)) for one in found]

    def match(self, found: "LoggedMatch") -> ListMatch:
        """Converts a match into the form of policy and events."""
        name, entry = self.lists[found.sought], self.entries[found.sought]
        spec = self.specs[name]
        return ListMatch(
            list=name,
            entry=entry.entry,
            distance=found.distance,
            video=entry.video,
            seconds=entry.seconds,
            variant=None if found.variant is None else str(found.variant),
            version=self.versions.get(name, ""),
            tags=entry.tags,
            source=spec.source,
            category=spec.category,
            max_distance=spec.max_distance,
        )


@dataclass(frozen=True, kw_only=True)
class LoggedMatch:
    """A logged picture that a sought hash matches."""

    row: Row
    """`COLUMNS` of its row."""
    sought: int
    """Index of the hash among those sought."""
    distance: int
    variant: Variant | None = None
    """The transformation of the picture that matched; None: the picture as it is."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The matches of some files."""

    job: Job
    """Its position after these files."""
    found: tuple[LoggedMatch, ...]


def files_left(store: ObjectStore, job: Job) -> Iterator[LogFile]:
    """Yields the files that a pass has not searched yet, the newest first; folders are listed as they are reached.

    A merged file is searched if any of the files in it was not.

    Raises:
        ObjectStoreError: the store is away.
    """
    earliest_ms = job.begun_ms - LATE_MS if job.last_pass else job.since_ms
    for begin_ms, folder in reversed(folders(store)):
        if begin_ms + HOUR_MS <= earliest_ms or (job.done_ms is not None and begin_ms > job.done_ms):
            continue
        for file in reversed(files_in(store, folder)):
            late = not job.last_pass and file.written_ms > job.begun_ms
            if file.written_ms < earliest_ms or file.last_capture_ms < job.since_ms or late or _is_done(job, file):
                continue
            yield file


def _is_done(job: Job, file: LogFile) -> bool:
    if job.done_ms is None:
        return False
    if file.merged:
        return merged_with(file.written_ms) > merged_with(job.done_ms)
    return (file.written_ms, file.name) >= (job.done_ms, job.done_name)


def scan(
    store: ObjectStore,
    files: Iterable[LogFile],
    wanted: HashQuery,
    job: Job,
    pace: SearchPace = IN_A_TASK,
    *,
    left_out: LeftOut = log_left_out,
) -> Iterator[Step]:
    """Searches files in their order; yields the matches of each step, with the job's position.

    A damaged file is left out and reported to `left_out`; one that was purged meanwhile is left out.

    Raises:
        ObjectStoreError: the store is away.
    """
    waiting: list[tuple[LogFile, LoggedHashes]] = []
    count, began = 0, monotonic()
    for file in files:
        hashes = _hashes(store, file, wanted, left_out)
        waiting.append((file, hashes))
        count += len(hashes)
        job = replace(job, done_ms=file.written_ms, done_name=file.name)
        if count >= pace.hashes or monotonic() - began >= pace.seconds:
            yield Step(job=job, found=tuple(_found(store, waiting, wanted, left_out)))
            waiting, count, began = [], 0, monotonic()
    if waiting:
        yield Step(job=job, found=tuple(_found(store, waiting, wanted, left_out)))


def found_in(
    store: ObjectStore, file: LogFile, wanted: HashQuery, *, left_out: LeftOut = log_left_out
) -> list[LoggedMatch]:
    """Returns the matches of one file. A damaged file is left out and reported to `left_out`.

    Raises:
        ObjectStoreError: the store is away.
    """
    if not wanted.size:
        return []
    return list(_found(store, [(file, _hashes(store, file, wanted, left_out))], wanted, left_out))


def _hashes(store: ObjectStore, file: LogFile, wanted: HashQuery, left_out: LeftOut) -> LoggedHashes:
    with leaving_out(file, left_out):
        return read_hashes(store, file, transformed=bool(wanted.kinds[:, 1:].any()))
    return LoggedHashes.none()


def _found(
    store: ObjectStore, waiting: Sequence[tuple[LogFile, LoggedHashes]], wanted: HashQuery, left_out: LeftOut
) -> Iterator[LoggedMatch]:
    every = LoggedHashes.joined([hashes for _, hashes in waiting])
    near = wanted.near(every)
    ends = np.cumsum([len(hashes) for _, hashes in waiting])
    of_file = np.searchsorted(ends, near.hashes, side="right")
    returned: Counter[tuple[str, int]] = Counter()
    for number in np.unique(of_file).tolist():
        here = of_file == number
        order = np.flatnonzero(here)[np.argsort(near.distances[here], kind="stable")]
        pairs = [
            _Pair(
                row=int(every.rows[near.hashes[index]]),
                sought=int(near.sought[index]),
                distance=int(near.distances[index]),
                kind=int(every.kinds[near.hashes[index]]),
            )
            for index in order.tolist()
        ]
        yield from _with_rows(store, waiting[number][0], pairs, returned, left_out)


class _Pair(NamedTuple):
    row: int
    sought: int
    distance: int
    kind: int


def _with_rows(
    store: ObjectStore, file: LogFile, pairs: Sequence[_Pair], returned: Counter[tuple[str, int]], left_out: LeftOut
) -> Iterator[LoggedMatch]:
    """Yields the pairs of one file, nearest first, with their rows; `returned` counts those of each watch in a step."""
    rows: dict[int, Row] = {}
    with leaving_out(file, left_out), LogReader(store, file) as reader:
        rows = reader.rows(COLUMNS, sorted({pair.row for pair in pairs}))
    known: set[tuple[int, int]] = set()
    for pair in pairs if rows else ():
        row = rows[pair.row]
        watch = (row["stream_id"], row["generation"])
        if (pair.row, pair.sought) in known or returned[watch] >= MOST_FRAMES:
            continue
        known.add((pair.row, pair.sought))
        returned[watch] += 1
        yield LoggedMatch(row=row, sought=pair.sought, distance=pair.distance, variant=KINDS[pair.kind])
