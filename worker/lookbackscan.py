"""The search of a look-back: files of the verdict log, from the newest on, for hashes that are sought."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from config.facts import ListMatch
from models.bank.delta import Change
from models.bank.entries import Entry, ListSpec
from models.bank.sweep import HASH_BYTES, Near, sweep
from models.pdq import MIN_QUALITY
from worker.errors import ObjectStoreError
from worker.logkeeping import merged_with
from worker.lookbackjobs import Job
from worker.objectstore import ObjectStore
from worker.verdictlog import HOUR_MS, LogFile, LogReader, files_in, folders
from worker.verdictrows import Row

_log = logging.getLogger(__name__)

STEP_ROWS = 262_144
"""Swept together: 8 MB of hashes."""

STEP_SECONDS = 0.5
"""After which what was read is swept, and how far the search has come is written down."""

MOST_FRAMES = 100
"""Pictures of one file and one stream that are told, the nearest: a picture that stands for an hour would else be
told 2,000 times. An incident shows the 20 nearest matches."""

LATE_MS = 60_000
"""How much earlier than it becomes visible a file may say that it was written; the last pass begins so much earlier."""

_COLUMNS = (
    "stream_id",
    "generation",
    "segment_key",
    "capture_ms",
    "pts_seconds",
    "reason",
    "pdq_quality",
    "matches",
    "scores",
    "purpose",
    "audience",
    "risk_prior",
    "metadata",
    "model_versions",
)
"""Of a row, what a rule could see, and where it belongs."""


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
    versions: Mapping[str, str] = field(default_factory=dict)
    """List -> version."""

    @classmethod
    def of(cls, changes: Iterable[Change], specs: Mapping[str, ListSpec], versions: Mapping[str, str]) -> "Sought":
        """Of changes that add PDQ hashes; a list that nobody knows any more has lost them."""
        added = [(change.list, change.entry) for change in changes if change.entry is not None]
        known = [(name, entry, specs[name]) for name, entry in added if name in specs]
        return cls(
            lists=tuple(name for name, _, _ in known),
            entries=tuple(entry for _, entry, _ in known),
            hashes=np.frombuffer(b"".join(entry.value for _, entry, _ in known), np.uint8).reshape(-1, HASH_BYTES),
            max_distances=np.array([spec.max_distance for _, _, spec in known], np.uint8),
            min_qualities=np.array([max(spec.min_quality, MIN_QUALITY) for _, _, spec in known], np.uint8),
            versions=versions,
        )

    @property
    def size(self) -> int:
        return len(self.entries)

    def match(self, found: "Found") -> ListMatch:
        """The match as policy and events know it."""
        name, entry = self.lists[found.place], self.entries[found.place]
        return ListMatch(
            list=name,
            entry=entry.entry,
            distance=found.distance,
            video=entry.video,
            seconds=entry.seconds,
            version=self.versions.get(name, ""),
            tags=entry.tags,
        )


@dataclass(frozen=True, kw_only=True)
class Found:
    """A logged picture that a sought hash matches."""

    row: Row
    """What the log says of it: `_COLUMNS`."""
    place: int
    """Of the hash among those sought."""
    distance: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """What was found in the files up to one."""

    job: Job
    """As it is after these files."""
    found: tuple[Found, ...]


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


def scan(store: ObjectStore, files: Iterable[LogFile], wanted: Sought, job: Job) -> Iterator[Step]:
    """Looks at files, in their order; what was found is told every so often, with how far the job has come.

    A file that is damaged is left out and told in the log; one that was purged meanwhile is left out.

    Raises:
        ObjectStoreError: the store is away.
    """
    waiting: list[_Hashes] = []
    rows, began = 0, monotonic()
    for file in files:
        hashes = _read(store, file)
        waiting.append(hashes)
        rows += len(hashes.qualities)
        job = replace(job, done_ms=file.written_ms, done_name=file.name)
        if rows >= STEP_ROWS or monotonic() - began >= STEP_SECONDS:
            yield Step(job=job, found=tuple(_found(store, waiting, wanted)))
            waiting, rows, began = [], 0, monotonic()
    if waiting:
        yield Step(job=job, found=tuple(_found(store, waiting, wanted)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Hashes:
    """Of one file, row by row."""

    file: LogFile
    bits: npt.NDArray[np.uint8]
    """(rows, 32)."""
    qualities: npt.NDArray[np.uint8]
    """(rows,); 0 where there is no hash."""


def _read(store: ObjectStore, file: LogFile) -> _Hashes:
    bits, qualities = [np.empty((0, HASH_BYTES), np.uint8)], [np.empty(0, np.uint8)]
    try:
        with LogReader(store, file) as reader:
            for batch in reader.batches(("pdq", "pdq_quality")):
                pdq, quality = batch.column("pdq"), batch.column("pdq_quality").fill_null(0)
                bits.append(_bits(pdq))
                qualities.append(np.where(pdq.is_valid().to_numpy(zero_copy_only=False), quality.to_numpy(), 0))
    except ObjectStoreError as error:
        if not _may_be_left_out(error):
            raise
        bits, qualities = bits[:1], qualities[:1]
    return _Hashes(file=file, bits=np.concatenate(bits), qualities=np.concatenate(qualities).astype(np.uint8))


def _bits(pdq: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    """(rows, 32); what stands for null is never looked at."""
    data = pdq.buffers()[1]
    if data is None:
        return np.zeros((len(pdq), HASH_BYTES), np.uint8)
    return np.frombuffer(data, np.uint8).reshape(-1, HASH_BYTES)[pdq.offset : pdq.offset + len(pdq)]


def _may_be_left_out(error: ObjectStoreError) -> bool:
    if not error.missing and isinstance(error.__cause__, pa.ArrowException):
        _log.error("a file of the verdict log is damaged, and left out: %s", error)
        return True
    return error.missing


def _found(store: ObjectStore, waiting: Sequence[_Hashes], wanted: Sought) -> Iterator[Found]:
    near = sweep(np.concatenate([hashes.bits for hashes in waiting]), wanted.hashes, wanted.max_distances)
    if not len(near.hashes):
        return
    ends = np.cumsum([len(hashes.qualities) for hashes in waiting])
    of_file = np.searchsorted(ends, near.hashes, side="right")
    for place in np.unique(of_file):
        hashes, begin = waiting[place], int(ends[place]) - len(waiting[place].qualities)
        here = of_file == place
        rows = near.hashes[here] - begin
        good = hashes.qualities[rows] >= wanted.min_qualities[near.sought[here]]
        pairs = Near(hashes=rows[good], sought=near.sought[here][good], distances=near.distances[here][good])
        if len(pairs.hashes):
            yield from _with_rows(store, hashes.file, pairs)


def _with_rows(store: ObjectStore, file: LogFile, pairs: Near) -> Iterator[Found]:
    """The pairs of one file, with their rows: of each stream the MOST_FRAMES nearest."""
    order = np.argsort(pairs.distances, kind="stable")
    try:
        with LogReader(store, file) as reader:
            rows = reader.rows(_COLUMNS, np.unique(pairs.hashes).tolist())
    except ObjectStoreError as error:
        if not _may_be_left_out(error):
            raise
        return
    told: Counter[tuple[str, int]] = Counter()
    for pair in order.tolist():
        row = rows[int(pairs.hashes[pair])]
        watch = (row["stream_id"], row["generation"])
        told[watch] += 1
        if told[watch] <= MOST_FRAMES:
            yield Found(row=row, place=int(pairs.sought[pair]), distance=int(pairs.distances[pair]))
