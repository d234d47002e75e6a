"""The search of a look-back: files of the verdict log, from the newest on, for hashes that are sought."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import NamedTuple

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
from worker.errors import ObjectStoreError
from worker.lookback.jobs import Job
from worker.store.object_store import ObjectStore
from worker.verdictlog.files import HOUR_MS, LogFile, folders
from worker.verdictlog.hashes import KINDS, LoggedHashes, read_hashes
from worker.verdictlog.reading import LeftOut, LogReader, files_in, log_left_out
from worker.verdictlog.retention import merged_with
from worker.verdictlog.rows import SAMPLE_COLUMNS, STREAM_COLUMNS, Row

SWEPT = 2_000
"""Sought hashes up to which (<=) a sweep is faster than a join."""

NEAREST = MAX_MATCHES_A_LIST
"""Of a list of which many are sought, entries told of one picture, as live matches are."""


@dataclass(frozen=True, kw_only=True)
class SearchPace:
    """How much is compared in one step, after which it is written down how far the search has come."""

    hashes: int
    seconds: float
    """A step ends after these, however few it has read."""


IN_A_TASK = SearchPace(hashes=262_144, seconds=0.5)
"""8 MB of hashes, and a step of about a second."""

IN_BULK = SearchPace(hashes=2_097_152, seconds=10.0)
"""64 MB of hashes: the tables of a join take four seconds, whatever is compared with them."""

MOST_FRAMES = 100
"""Pictures of one step and one stream that are told: a picture that stands for an hour would else be
told 2,000 times. An incident shows the 20 nearest matches."""

LATE_MS = 60_000
"""How much earlier than it becomes visible a file may say that it was written; the last pass begins so much earlier."""

COLUMNS = (*STREAM_COLUMNS, *SAMPLE_COLUMNS, "pdq", "generation", "segment_key", "segment_uri", "model_versions")
"""Of a row, what a rule could see and what events tell of the picture, and where it belongs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sought:
    """The hashes that are sought."""

    lists: tuple[str, ...]
    """(k,): of each, like those below."""
    entries: tuple[Entry, ...]
    hashes: npt.NDArray[np.uint8]
    """(k, 32)."""
    max_distances: npt.NDArray[np.uint8]
    min_qualities: npt.NDArray[np.uint8]
    kinds: npt.NDArray[np.bool_]
    """(k, KINDS): whether the picture as it is, or turned that way, is compared with it."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """List -> version."""

    @classmethod
    def of(cls, changes: Iterable[BankChange], specs: Mapping[str, ListSpec], versions: Mapping[str, str]) -> "Sought":
        """Of changes that add PDQ hashes; a list that nobody knows any more has lost them."""
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
        )

    @property
    def size(self) -> int:
        return len(self.entries)

    def near(self, logged: LoggedHashes) -> NearPairs:
        """Pairs of logged and sought hashes within the distance, quality and kinds that the list asks for; of a list of
        which many are sought, the NEAREST to each picture."""
        parts = [NearPairs.none()]
        for name in dict.fromkeys(self.lists):
            own = np.flatnonzero(np.array([of == name for of in self.lists]))
            first = own[0]  # what a list asks for it asks for all of its hashes
            asked = (logged.qualities >= self.min_qualities[first]) & self.kinds[first][logged.kinds]
            places = np.flatnonzero(asked)
            hashes, sought, limits = logged.bits[places], self.hashes[own], self.max_distances[own]
            few = len(own) <= SWEPT
            near = sweep(hashes, sought, limits) if few else join(hashes, sought, limits, nearest=NEAREST)
            parts.append(NearPairs(hashes=places[near.hashes], sought=own[near.sought], distances=near.distances))
        return NearPairs.joined(parts)

    def matched(self, found: Iterable["LoggedMatch"]) -> list[tuple[Row, ListMatch]]:
        """What was found, as policy and events know it."""
        return [(one.row, self.match(one)) for one in found]

    def match(self, found: "LoggedMatch") -> ListMatch:
        """The match as policy and events know it."""
        name, entry = self.lists[found.place], self.entries[found.place]
        return ListMatch(
            list=name,
            entry=entry.entry,
            distance=found.distance,
            video=entry.video,
            seconds=entry.seconds,
            variant=None if found.variant is None else str(found.variant),
            version=self.versions.get(name, ""),
            tags=entry.tags,
        )


@dataclass(frozen=True, kw_only=True)
class LoggedMatch:
    """A logged picture that a sought hash matches."""

    row: Row
    """What the log says of it: `COLUMNS`."""
    place: int
    """Of the hash among those sought."""
    distance: int
    variant: Variant | None = None
    """How the picture had to be turned."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What was found in the files up to one."""

    job: Job
    """As it is after these files."""
    found: tuple[LoggedMatch, ...]


def files_left(store: ObjectStore, job: Job) -> Iterator[LogFile]:
    """The files that a pass still has to look at, the newest first; folders are listed as they are reached.

    A file that was merged meanwhile out of some that are done and some that are not is looked at again.

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
    wanted: Sought,
    job: Job,
    pace: SearchPace = IN_A_TASK,
    *,
    left_out: LeftOut = log_left_out,
) -> Iterator[Step]:
    """Looks at files, in their order; what was found is told every so often, with how far the job has come.

    A file that is damaged is left out, of which `left_out` is told; one that was purged meanwhile is left out.

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
    store: ObjectStore, file: LogFile, wanted: Sought, *, left_out: LeftOut = log_left_out
) -> list[LoggedMatch]:
    """What one file has. One that is damaged is left out, of which `left_out` is told.

    Raises:
        ObjectStoreError: the store is away.
    """
    if not wanted.size:
        return []
    return list(_found(store, [(file, _hashes(store, file, wanted, left_out))], wanted, left_out))


def _hashes(store: ObjectStore, file: LogFile, wanted: Sought, left_out: LeftOut) -> LoggedHashes:
    try:
        return read_hashes(store, file, turned=bool(wanted.kinds[:, 1:].any()))
    except ObjectStoreError as error:
        if not may_be_left_out(file, error, left_out):
            raise
        return LoggedHashes.none()


def may_be_left_out(file: LogFile, error: ObjectStoreError, left_out: LeftOut) -> bool:
    """Whether it is the file that is damaged, of which `left_out` is told, or gone; else the store is away."""
    if error.damaged:
        left_out(file, error)
    return error.damaged or error.missing


def _found(
    store: ObjectStore, waiting: Sequence[tuple[LogFile, LoggedHashes]], wanted: Sought, left_out: LeftOut
) -> Iterator[LoggedMatch]:
    every = LoggedHashes.joined([hashes for _, hashes in waiting])
    near = wanted.near(every)
    ends = np.cumsum([len(hashes) for _, hashes in waiting])
    of_file = np.searchsorted(ends, near.hashes, side="right")
    told: Counter[tuple[str, int]] = Counter()
    for number in np.unique(of_file).tolist():
        here = of_file == number
        order = np.flatnonzero(here)[np.argsort(near.distances[here], kind="stable")]
        pairs = [
            _Pair(
                row=int(every.rows[near.hashes[place]]),
                sought=int(near.sought[place]),
                distance=int(near.distances[place]),
                kind=int(every.kinds[near.hashes[place]]),
            )
            for place in order.tolist()
        ]
        yield from _with_rows(store, waiting[number][0], pairs, told, left_out)


class _Pair(NamedTuple):
    row: int
    sought: int
    distance: int
    kind: int


def _with_rows(
    store: ObjectStore, file: LogFile, pairs: Sequence[_Pair], told: Counter[tuple[str, int]], left_out: LeftOut
) -> Iterator[LoggedMatch]:
    """The pairs of one file, nearest first, with their rows; `told` counts those of each watch in this step."""
    try:
        with LogReader(store, file) as reader:
            rows = reader.rows(COLUMNS, sorted({pair.row for pair in pairs}))
    except ObjectStoreError as error:
        if not may_be_left_out(file, error, left_out):
            raise
        return
    known: set[tuple[int, int]] = set()
    for pair in pairs:
        row = rows[pair.row]
        watch = (row["stream_id"], row["generation"])
        if (pair.row, pair.sought) in known or told[watch] >= MOST_FRAMES:
            continue
        known.add((pair.row, pair.sought))
        told[watch] += 1
        yield LoggedMatch(row=row, place=pair.sought, distance=pair.distance, variant=KINDS[pair.kind])
