"""The hashes of a chain's entries, as its pieces and published heads say: an entry with two of them was replaced, or
the chain was forked."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from worker.audit.chain import Fault, FaultKind, LinkedEntry, first_previous
from worker.audit.published_heads import PublishedHead
from worker.audit.segments import AuditSegment


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Entries of one chain that follow one another: a segment of the store, or a run in Redis."""

    chain: str
    first: int
    last: int
    previous: str
    hash: str
    place: str
    """Its place, for people."""

    @classmethod
    def of_segment(cls, segment: AuditSegment) -> Self:
        """The entries that a segment's name promises."""
        return cls(
            chain=segment.chain,
            first=segment.first,
            last=segment.last,
            previous=segment.previous,
            hash=segment.hash,
            place=segment.path,
        )


def runs_of(entries: Iterable[LinkedEntry], *, place: str) -> list[Piece]:
    """The runs of entries that follow one another, in the order in which they are found."""
    pieces: list[Piece] = []
    start: LinkedEntry | None = None
    last: LinkedEntry | None = None
    for entry in entries:
        if start is not None and last is not None and (entry.chain, entry.n) == (last.chain, last.n + 1):
            last = entry
            continue
        if start is not None and last is not None:
            pieces.append(_run(start, last, place))
        start = last = entry
    if start is not None and last is not None:
        pieces.append(_run(start, last, place))
    return pieces


def _run(start: LinkedEntry, last: LinkedEntry, place: str) -> Piece:
    return Piece(chain=start.chain, first=start.n, last=last.n, previous=start.previous, hash=last.hash, place=place)


class KnownHashes:
    """Hashes of those entries of one chain at which its pieces meet or a head was published, by number."""

    def __init__(self, chain: str, pieces: Iterable[Piece], published: Iterable[PublishedHead]) -> None:
        self.chain = chain
        self._pieces = list(pieces)
        self._published = list(published)
        self._found: dict[int, set[str]] = defaultdict(set)
        self._wanted = {0} | {head.n for head in self._published}
        for piece in self._pieces:
            self._wanted |= {piece.first - 1, piece.last}
            self._found[piece.last].add(piece.hash)
        self._found[0].add(first_previous(chain))

    def note(self, entries: Iterable[LinkedEntry]) -> None:
        """Adds the hashes of entries that were read."""
        for entry in entries:
            if entry.n in self._wanted:
                self._found[entry.n].add(entry.hash)

    @property
    def last(self) -> int:
        """Number of the newest entry."""
        return max((piece.last for piece in self._pieces), default=0)

    def faults(self) -> list[Fault]:
        """Faults between pieces, and between the chain and its published heads."""
        return [*self._gaps(), *self._meeting(), *self._against_published()]

    def _gaps(self) -> list[Fault]:
        faults: list[Fault] = []
        covered = 0
        for piece in sorted(self._pieces, key=lambda one: one.first):
            if piece.first > covered + 1:
                missing = _range(covered + 1, piece.first - 1)
                faults.append(self._fault(FaultKind.REMOVED, covered + 1, f"{missing} missing before {piece.place}"))
            covered = max(covered, piece.last)
        return faults

    def _meeting(self) -> list[Fault]:
        """Pieces that follow an entry of another hash, or have one themselves."""
        faults = []
        forked = {n for n, hashes in self._found.items() if len(hashes) > 1}
        if forked:
            n = min(forked)
            text = (
                f"entry {n} is there twice, with different hashes: Redis was restored to an older state before it, or "
                "entries were replaced"
            )
            faults.append(self._fault(FaultKind.FORKED, n, text))
        for piece in self._pieces:
            before = self._found.get(piece.first - 1)
            if before and piece.previous not in before:
                text = f"{piece.place} does not follow entry {piece.first - 1}: entries were replaced or added"
                faults.append(self._fault(FaultKind.ALTERED, piece.first - 1, text))
        return faults

    def _against_published(self) -> list[Fault]:
        faults: list[Fault] = []
        for head in sorted(self._published, key=lambda one: one.n):
            hashes = self._found.get(head.n)
            if head.n > self.last:
                missing = _range(self.last + 1, head.n)
                text = f"{missing} missing at the end: the head was published with number {head.n}"
                return [*faults, self._fault(FaultKind.CUT, self.last + 1, text)]
            if hashes and head.hash not in hashes:
                text = f"entry {head.n} was published with another hash: it, or one before it, was replaced"
                return [*faults, self._fault(FaultKind.FORKED, head.n, text)]
        return faults

    def _fault(self, kind: FaultKind, n: int, text: str) -> Fault:
        return Fault(kind=kind, chain=self.chain, n=n, text=text)


def _range(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
