"""The bank in force: a snapshot with a delta over it, and the lists that are always there.

Immutable. Following changes means making another bank over the same snapshot, which costs next to nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from types import MappingProxyType

import numpy as np

from config.counts import counted
from config.facts import ALLOW, SELFTEST
from models.bank.content import Content
from models.bank.delta import Delta
from models.bank.entries import CONFIRMED, Entry, HashKind, ListSpec
from models.bank.fitting import fitted_distances
from models.bank.flat import Words, search, words_of
from models.bank.index import MAX_DISTANCE
from models.bank.snapshot import Snapshot
from models.errors import BankError, UnhashableError
from models.pdq.continued_hash import REACH, ContinuedHash
from models.pdq.pdq import MIN_QUALITY, PdqHash
from models.pdq.variant_kinds import Variant
from models.testcard import TESTCARD_HASHES

MAX_MATCHES_A_LIST = 16
"""Nearest entries returned of one list; more of one picture are near-duplicates in the list and add nothing."""

_MAX_HASHES_A_LIST = 1000
"""Nearest hashes read of one list, where many have one id: reading one takes 10 µs."""

EMPTY = "empty"
"""Version of a list that no snapshot holds; with its last change behind it, if it has one."""

ALLOW_DISTANCE = 8
"""An allowed picture must be the very one that a lead saw, not one that looks like it."""

BUILT_IN_SPECS = MappingProxyType(
    {
        SELFTEST: ListSpec(name=SELFTEST, source="livewarden", category="test card", exportable=True),
        CONFIRMED: ListSpec(name=CONFIRMED, source="platform", category="confirmed", exportable=True),
        ALLOW: ListSpec(name=ALLOW, source="platform", category="harmless", max_distance=ALLOW_DISTANCE),
    }
)
"""Name -> list, in the order in which lists are shown."""

SELFTEST_ENTRIES = tuple(
    Entry(entry=name, kind=HashKind.PDQ, value=bytes.fromhex(digits)) for name, digits in TESTCARD_HASHES.items()
)
"""The whole of the list `selftest`; nothing adds to it or takes from it."""

_NO_VARIANTS: Mapping[Variant, Sequence[PdqHash]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Match:
    """An entry of a list that a picture or a file matches. It never holds the listed hash."""

    list: str
    entry: str
    """The entry's id in its list."""
    distance: int
    """Distance of the PDQ hashes, 0 to the list's `max_distance`: in bits that differ, or, where a part of the picture
    is guessed, as `ContinuedHash.distance` gives it; 0 for a file's digest."""
    version: str
    """Version of the list."""
    tags: tuple[str, ...] = ()
    video: str | None = None
    """The video that the entry is a frame of."""
    seconds: float | None = None
    """Time in that video, in seconds."""
    variant: Variant | None = None
    """The transformed picture that matched; None: the picture as it is."""
    source: str = ""
    """Source of the list."""
    category: str = ""
    """Category of the list's entries."""
    max_distance: int = MAX_DISTANCE
    """Distance up to which (<=) the list matches."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bank:
    """All lists in force. Without arguments: the built-in lists only."""

    snapshot: Snapshot | None = None
    delta: Delta = field(default_factory=Delta)

    @cached_property
    def specs(self) -> Mapping[str, ListSpec]:
        """List name -> list, the built-in ones first."""
        specs = dict(BUILT_IN_SPECS)
        if self.snapshot is not None:
            specs |= {name: spec for name, spec in self.snapshot.specs.items() if name not in self.delta.dropped}
        specs |= self.delta.specs
        for name in self.delta.added:
            specs.setdefault(name, ListSpec(name=name))
        specs[SELFTEST] = BUILT_IN_SPECS[SELFTEST]
        nearest = min(specs[ALLOW].max_distance, ALLOW_DISTANCE)
        specs[ALLOW] = specs[ALLOW].model_copy(update={"max_distance": nearest})
        return MappingProxyType(specs)

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """List name -> version of its content: the snapshot's, and the id of the last change since."""
        versions = {}
        for name in self.specs:
            base = self._base_version(name)
            last = self.delta.last.get(name)
            versions[name] = base if last is None or name == SELFTEST else f"{base}+{last}"
        return MappingProxyType(versions)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """List name -> number of its entries. Counted at first use: each change is looked up."""
        sizes = dict.fromkeys(self.specs, 0) | {SELFTEST: len(SELFTEST_ENTRIES)}
        if self.snapshot is not None:
            for name in sizes.keys() & self.snapshot.sizes.keys() - self.delta.dropped:
                sizes[name] = self.snapshot.sizes[name]
            for name, entry_id in self._touched():
                if name in sizes and name not in self.delta.dropped:
                    there = self.snapshot.exact(name, entry_id)
                    sizes[name] -= sum(1 for entry in there if self._is_replaced(name, entry))
        for name, _ in self.delta.entries:
            sizes[name] += 1
        return MappingProxyType(sizes)

    def match(self, pdq: PdqHash, *, variants: Mapping[Variant, Sequence[PdqHash]] = _NO_VARIANTS) -> tuple[Match, ...]:
        """Matches of a picture: list by list, of each the MAX_MATCHES_A_LIST nearest entries, nearest first.

        `variants` are the hashes of the transformed picture; a list is searched for those that it has enabled. Each
        hash is compared with the lists whose `min_quality` it reaches, within their `max_distance` (<=). An entry is
        returned once, with the hash that came nearest.

        Raises:
            UnhashableError: no hash reaches MIN_QUALITY, so that no answer is possible. Check `hashable` first.
        """
        hashes = [(None, pdq), *((variant, of) for variant, several in variants.items() for of in several)]
        if not any(of.hashable for _, of in hashes):
            raise UnhashableError(f"a PDQ hash of quality {pdq.quality}: expected {MIN_QUALITY} or more to match it")
        best: dict[tuple[str, str], Match] = {}
        for variant, of in hashes:
            limits = self._limits(of, variant)
            if not limits:
                continue
            for name, entry, distance in self._near(of, limits):
                known = best.get((name, entry.entry))
                if known is None or distance < known.distance:
                    best[name, entry.entry] = self._matched(name, entry, distance, variant)
        return self._nearest(best.values()) if best else ()

    def find(self, kind: HashKind, value: bytes) -> tuple[Match, ...]:
        """The entries that have exactly this hash: of a file's bytes, or, as PDQ, of a picture.

        Raises:
            BankError: `value` is not as long as a hash of this kind.
        """
        if len(value) != kind.size_bytes:
            raise BankError(f"a {kind} of {counted(len(value), 'byte')}: expected {kind.size_bytes}")
        rows: list[tuple[str, Entry]] = []
        if self.snapshot is not None:
            rows += [row for row in self.snapshot.find(kind, value) if not self._is_replaced(*row)]
        rows += [row for row in self._overlay if row[1].kind is kind and row[1].value == value]
        best = {(name, entry.entry): self._matched(name, entry, 0, None) for name, entry in rows}
        return self._nearest(best.values())

    def exact(self, name: str, entry_id: str) -> tuple[Entry, ...]:
        """Entries of a list under an id: a hash of each kind, or more. Empty: none."""
        if name == SELFTEST:
            return tuple(entry for entry in SELFTEST_ENTRIES if entry.entry == entry_id)
        there = () if self.snapshot is None else self.snapshot.exact(name, entry_id)
        kept = tuple(entry for entry in there if not self._is_replaced(name, entry))
        return kept + self.delta.added.get(name, {}).get(entry_id, ())

    def entries(self, name: str) -> Iterator[Entry]:
        """All of a list, as read from the snapshot, then what was added since. Unknown lists have none."""
        return iter(self._content(name))

    def contents(self) -> Iterator[tuple[ListSpec, Iterable[Entry]]]:
        """Each list and its entries, for a new snapshot; `selftest` is in none."""
        for name, spec in self.specs.items():
            if name != SELFTEST:
                yield spec, self._content(name)

    def _content(self, name: str) -> Content:
        if name == SELFTEST:
            return Content(name=name, added=SELFTEST_ENTRIES)
        added = tuple(entry for same in self.delta.added.get(name, {}).values() for entry in same)
        if self.snapshot is None or name in self.delta.dropped:
            return Content(name=name, added=added)
        return Content(
            name=name,
            stored=self.snapshot,
            left_out=frozenset(
                (kind, row)
                for of, entry_id in self._touched()
                if of == name
                for kind, row in self.snapshot.locate(name, entry_id)
                if self._is_replaced(name, self.snapshot.tables[kind].entry(row))
            ),
            added=added,
        )

    @cached_property
    def _overlay(self) -> tuple[tuple[str, Entry], ...]:
        """(list, entry) of what is searched flat, PDQ hashes first."""
        return (*((SELFTEST, entry) for entry in SELFTEST_ENTRIES), *self.delta.entries)

    @cached_property
    def _overlay_words(self) -> Words:
        """The PDQ hashes of the overlay, in its order: uint64, (n, 4)."""
        return np.vstack([*(words_of(entry.value) for entry in SELFTEST_ENTRIES), self.delta.pdq_words])

    def _limits(self, pdq: PdqHash, variant: Variant | None) -> dict[str, int]:
        """List name -> `max_distance`, of the lists that this hash is compared with."""
        if not pdq.hashable:
            return {}
        return {
            name: spec.max_distance
            for name, spec in self.specs.items()
            if pdq.quality >= spec.min_quality and (variant is None or variant in spec.variants)
        }

    def _near(self, pdq: PdqHash, limits: Mapping[str, int]) -> Iterator[tuple[str, Entry, int]]:
        """(list, entry, distance) of the entries within the limits; of the snapshot's no more than can be returned."""
        if not isinstance(pdq, ContinuedHash):
            yield from self._differing(words_of(pdq.bits), limits)
            return
        near = self._differing(words_of(pdq.bits), dict.fromkeys(limits, REACH))
        candidates = sorted(near, key=lambda one: (one[2], one[1].value))  # wherever a host has them
        distances = fitted_distances(pdq, candidates)
        for name, entry, bits in candidates:
            distance = distances.get(entry.value, bits)
            if distance <= limits[name]:
                yield name, entry, distance

    def _differing(self, wanted: Words, limits: Mapping[str, int]) -> Iterator[tuple[str, Entry, int]]:
        """(list, entry, Hamming distance) of the entries within the limits, as `_near` gives them."""
        reach = max(limits.values())
        rows, apart = search(self._overlay_words, wanted, max_distance=reach)
        for row, distance in zip(rows.tolist(), apart.tolist(), strict=True):
            name, entry = self._overlay[row]
            if distance <= limits.get(name, -1):
                yield name, entry, distance
        if self.snapshot is None:
            return
        stored = {name: limit for name, limit in limits.items() if name not in self.delta.dropped}
        for name, of_list in self.snapshot.near(wanted, stored):
            returned: set[str] = set()
            in_force = (near for near in of_list if not self._is_replaced(name, near[0]))
            for entry, distance in islice(in_force, _MAX_HASHES_A_LIST):
                yield name, entry, distance
                returned.add(entry.entry)
                if len(returned) == MAX_MATCHES_A_LIST:
                    break

    def _matched(self, name: str, entry: Entry, distance: int, variant: Variant | None) -> Match:
        spec = self.specs[name]
        return Match(
            list=name,
            entry=entry.entry,
            distance=distance,
            version=self.versions[name],
            tags=entry.tags,
            video=entry.video,
            seconds=entry.seconds,
            variant=variant,
            source=spec.source,
            category=spec.category,
            max_distance=spec.max_distance,
        )

    def _nearest(self, matches: Iterable[Match]) -> tuple[Match, ...]:
        by_list: dict[str, list[Match]] = {name: [] for name in self.specs}
        for match in matches:
            by_list[match.list].append(match)
        return tuple(
            match
            for of_list in by_list.values()
            for match in sorted(of_list, key=lambda match: match.distance)[:MAX_MATCHES_A_LIST]
        )

    def _is_replaced(self, name: str, entry: Entry) -> bool:
        """True if an entry of the snapshot is gone, or was added again."""
        if self.delta.hides(name, entry.entry):
            return True
        again = self.delta.added.get(name, {}).get(entry.entry, ())
        return any((other.kind, other.value) == (entry.kind, entry.value) for other in again)

    def _touched(self) -> frozenset[tuple[str, str]]:
        """(list, entry id) that the delta speaks of."""
        return self.delta.removed | {(name, entry_id) for name, of in self.delta.added.items() for entry_id in of}

    def _base_version(self, name: str) -> str:
        if name == SELFTEST:
            return _SELFTEST_VERSION
        if self.snapshot is None or name in self.delta.dropped:
            return EMPTY
        return self.snapshot.versions.get(name, EMPTY)


_SELFTEST_VERSION = hashlib.sha256(b"".join(entry.value for entry in SELFTEST_ENTRIES)).hexdigest()[:12]
