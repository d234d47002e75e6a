"""Compares late files of the verdict log (`worker.lookback.late_files`) with hashes that came into force meanwhile.

If the stream of changes still has all of these, with these; else with all lists in force.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

from redis import Redis

from config.counts import counted
from config.facts import ALLOW, SELFTEST, ListMatch
from models.bank.bank import Bank
from models.bank.delta import BankChange
from models.bank.sweep import HASH_BYTES
from models.errors import ChangeError
from models.pdq.pdq import PdqHash
from models.pdq.variant_kinds import Variant
from worker.bank.changelog import position, read_pointer
from worker.bank.keys import CHANGES
from worker.bank.lists_in_force import BankMark, BankSource, ListsInForce, as_list_match
from worker.errors import LeaseLostError
from worker.lookback.file_search import COLUMNS, MOST_FRAMES, HashQuery, found_in
from worker.lookback.jobs import FOUND, JUDGED, TOLD, UNCHECKED, is_sought
from worker.lookback.late_files import LateFile, current_mark, replace_late
from worker.lookback.matches import Matched, groups_of
from worker.store.lease import Lease
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, run_script
from worker.verdictlog.damaged import damage_recorder
from worker.verdictlog.files import LogFile
from worker.verdictlog.reading import LogReader, files_in, held_by, leaving_out

_log = logging.getLogger(__name__)

ROWS_A_STEP: Final = 1_000
"""Compared with all lists in force between two records of the position: about half a second."""

BEHIND_MS: Final = 10_000
"""After which a file is tried again, perhaps by a process that has all that is in force: this one has not."""

RECHECK_MS: Final = 60_000
"""After which a file is tried again that is not in the log yet, or for which this host lacks lists of files."""

GONE_MS: Final = 3_600_000
"""After which a file that is not in the log will not come: its writer died."""

OTHER_HOSTS_MS: Final = 600_000
"""The longest wait for a host that has lists of files which the others lack."""


@dataclass(frozen=True, kw_only=True)
class Recheck:
    """The means of comparing late files and recording their matches."""

    redis: Redis
    store: ObjectStore
    bank: BankSource
    lease: Lease

    def step(self, late: LateFile) -> int:
        """Compares a part of a file, and records the matches; returns the number of new hits.

        Raises:
            LeaseLostError: another process holds the lease now.
            ObjectStoreError: the store is away.
        """
        # In this order: the lists compared with are at least those in force.
        now, current = now_ms(self.redis), current_mark(self.redis)
        in_force, judged_by = self.bank(), late.judged_by
        folder, _, name = late.path.rpartition("/")
        file = LogFile.parse(folder, name)
        if file is None or name not in self.store.names(folder):
            return self._reschedule(late, now)
        lacks_shared = judged_by.lacks_shared(current)
        if lacks_shared and in_force.mark.lacks_shared(current):
            return self._note(late, replace(late, due_ms=now + BEHIND_MS))
        matched: list[Matched] = []
        if lacks_shared or not in_force.mark.files <= judged_by.files:
            changes = self._changes_since(judged_by, current)
            if changes is not None:
                return self._note(late, None, self._with(changes, file, in_force))
            matched, rows = self._with_all(file, late.rows, in_force.bank)
            if rows < file.rows:
                return self._note(late, replace(late, due_ms=now, rows=rows), matched)
        known = judged_by.files | in_force.mark.files
        if current.files <= known or now - late.since_ms > OTHER_HOSTS_MS:
            return self._note(late, None, matched)
        mark = replace(in_force.mark, files=known)
        return self._note(late, replace(late, due_ms=now + RECHECK_MS, rows=0, judged_by=mark), matched)

    def give_up(self, late: LateFile) -> None:
        """Leaves a file out permanently.

        Raises:
            LeaseLostError: another process holds the lease now.
        """
        self._note(late, None)

    def _reschedule(self, late: LateFile, now: int) -> int:
        """Reschedules a file that is not in the log: it is being written, was merged, or will never come."""
        folder, _, name = late.path.rpartition("/")
        for file in files_in(self.store, folder):
            if file.merged and name in held_by(self.store, file):
                replace_late(self.redis, late, replace(late, path=file.path, due_ms=now, rows=0))
                return 0
        gone = now - late.since_ms > GONE_MS
        return self._note(late, None if gone else replace(late, due_ms=now + RECHECK_MS))

    def _changes_since(self, judged_by: BankMark, current: BankMark) -> list[BankChange] | None:
        """The single hashes that came since; None: these are not all that came."""
        kept_after = read_pointer(self.redis).kept_after
        complete = judged_by.complete and judged_by.edition is not None and judged_by.edition == current.edition
        if not complete or not current.files <= judged_by.files or position(judged_by.position) < position(kept_after):
            return None
        return list(self._read_changes(judged_by.position))

    def _read_changes(self, after: str) -> Iterator[BankChange]:
        for _, fields in self.redis.xrange(CHANGES, min=f"({after}") or ():
            try:
                change = BankChange.from_json(str((fields or {}).get("change", "")))
            except ChangeError:
                continue  # damaged: the follower, which reads it too, reports that the bank is behind
            if is_sought(change):
                yield change

    def _with(self, changes: Sequence[BankChange], file: LogFile, in_force: ListsInForce) -> list[Matched]:
        """Compares a file with single hashes that were not withdrawn since."""
        bank = in_force.bank
        there = [
            change
            for change in changes
            if change.entry is not None and change.entry in bank.exact(change.list, change.entry.entry)
        ]
        wanted = HashQuery.of(there, bank.specs, in_force.versions)
        return wanted.matched(found_in(self.store, file, wanted, left_out=damage_recorder(self.redis)))

    def _with_all(self, file: LogFile, begin: int, bank: Bank) -> tuple[list[Matched], int]:
        """Compares rows of a file from `begin` on with all lists in force; returns matches and the next row."""
        end = min(begin + ROWS_A_STEP, file.rows)
        with leaving_out(file, damage_recorder(self.redis)), LogReader(self.store, file) as reader:
            found = dict(_matches(reader, begin, end, bank))
            rows = reader.rows(COLUMNS, sorted(found))
            counts: Counter[tuple[str, int]] = Counter()
            matched: list[Matched] = []
            for index, matches in found.items():
                row = rows[index]
                watch = (row["stream_id"], row["generation"])
                counts[watch] += 1
                if counts[watch] <= MOST_FRAMES:
                    matched += [(row, match) for match in matches]
            return matched, end
        return [], file.rows

    def _note(self, before: LateFile, after: LateFile | None, matched: Sequence[Matched] = ()) -> int:
        """Records matches and the position in the file; `after` None: it is done. Returns the number of new hits."""
        self.lease.check()
        groups = groups_of(matched)
        added = int(
            run_script(
                self.redis,
                "lookback_checked",
                keys=[self.lease.key, UNCHECKED, JUDGED, TOLD, FOUND],
                args=[
                    self.lease.token,
                    before.path,
                    before.due_ms,
                    "" if after is None else after.due_ms,
                    "" if after is None else after.to_json(),
                    now_ms(self.redis),
                    json.dumps(groups),
                ],
            )
        )
        if added == _LEASE_LOST:
            raise LeaseLostError(f"{self.lease.key}: another process holds the lease now")
        if added > 0:
            seen, streams = counted(added, "logged picture"), counted(len(groups), "stream")
            _log.info("%s of %s match hashes that came meanwhile", seen, streams)
        return max(0, added)


_LEASE_LOST: Final = -1
_VARIANTS: Final = frozenset(map(str, Variant))


def _matches(reader: LogReader, begin: int, end: int, bank: Bank) -> Iterator[tuple[int, list[ListMatch]]]:
    """Yields (row, its matches) of the rows [begin, end) that have any."""
    first = 0
    for batch in reader.batches(("pdq", "pdq_quality", "variants")):
        here = range(max(begin, first), min(end, first + batch.num_rows))
        rows = batch.slice(here.start - first, len(here)).to_pylist() if here else []
        for index, row in zip(here, rows, strict=True):
            matches = _matches_of(row, bank)
            if matches:
                yield index, matches
        first += batch.num_rows


def _matches_of(row: Mapping[str, Any], bank: Bank) -> list[ListMatch]:
    plain = PdqHash(bits=row["pdq"] or bytes(HASH_BYTES), quality=row["pdq_quality"] if row["pdq"] else 0)
    variants: dict[Variant, list[PdqHash]] = {}
    for transformed in row["variants"] or ():
        if transformed["variant"] in _VARIANTS:
            pdq = PdqHash(bits=transformed["pdq"], quality=transformed["quality"])
            variants.setdefault(Variant(transformed["variant"]), []).append(pdq)
    if not any(pdq.hashable for pdq in chain((plain,), *variants.values())):
        return []
    matches = map(as_list_match, bank.match(plain, variants=variants))
    return [match for match in matches if match.list not in (ALLOW, SELFTEST)]
