"""The choice of the pictures that an incident keeps: pure functions over their records.

Segments of one stream end in any order, and each choice drops what it does not keep. So the rules are such that none
loses what a reviewer was promised: what an event named stays, and so does the first picture.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from config.facts import Severity
from config.policy.evidence import EvidenceLimits
from worker.evidence.item import EvidenceKind
from worker.evidence.record import EvidenceRecord

ALIKE_BITS: Final = 32
"""PDQ distance under which (<) two pictures show the same, as far as a choice goes: PDQ itself matches up to 31."""

UNLIKE_BITS: Final = 256
"""Difference of a picture that cannot be hashed from any other."""

MAX_BEFORE: Final = 2
"""Context pictures from before the first hit. The first hit that came may not be the first that was captured."""

MAX_NAMED_AT_LEISURE: Final = 8
"""Hits that events may name while nothing gets worse: the other places are left for what does."""


class Telling(NamedTuple):
    """The order in which pictures are preferred: the smallest first."""

    severity: int
    """Its rank; 0 is the most urgent."""
    negated_score: float
    distance: int


def telling(severity: str, score: float, distance: int | None) -> Telling:
    """Returns the place of a picture in the order. A severity of another version comes last."""
    ranks = {str(one): one.rank for one in Severity}
    return Telling(ranks.get(severity, len(ranks)), -score, UNLIKE_BITS if distance is None else distance)


def difference(one: str, other: str) -> int:
    """Returns the Hamming distance of two PDQ hashes in hex; UNLIKE_BITS where one is empty or damaged."""
    try:
        return (int(one, 16) ^ int(other, 16)).bit_count()
    except ValueError:
        return UNLIKE_BITS


@dataclass(frozen=True, kw_only=True)
class EvidenceChoice:
    """The pictures of an incident after a choice."""

    kept: tuple[EvidenceRecord, ...] = ()
    """All, hits and context, by capture time."""
    promoted: tuple[EvidenceRecord, ...] = ()
    """Those that the incident did not have before, or that an event names now."""
    evicted: tuple[EvidenceRecord, ...] = ()
    """Those that it had, and has no more."""

    @property
    def named(self) -> tuple[EvidenceRecord, ...]:
        """The pictures that events name, by capture time."""
        return tuple(record for record in self.kept if record.named)


def choose(
    had: Sequence[EvidenceRecord], candidates: Iterable[EvidenceRecord], limits: EvidenceLimits
) -> EvidenceChoice:
    """Chooses from the pictures that an incident has and those that may join it.

    Args:
        had: all that the incident has, context too.
        candidates: hits that belong to the incident, and context of them from before.
    """
    pool = {record.ref: record for record in candidates} | {record.ref: record for record in had}
    hits = [record for record in pool.values() if record.kind is EvidenceKind.HIT]
    known = _best([record for record in hits if record.known], min(limits.known_material, limits.pictures))
    others = _best([record for record in hits if not record.known], max(0, limits.pictures - len(known)))
    kept = [*known, *others, *_context(had, pool.values(), others)]
    refs, before = {record.ref for record in kept}, {record.ref for record in had}
    return EvidenceChoice(
        kept=tuple(sorted(kept, key=_by_capture)),
        promoted=tuple(record for record in kept if record.ref not in before),
        evicted=tuple(record for record in had if record.ref not in refs),
    )


def name(choice: EvidenceChoice, *, worse: bool, limits: EvidenceLimits) -> EvidenceChoice:
    """Marks what an event that is published now names: context, and the most telling hits.

    One place is never given away, for a first picture that comes late.

    Args:
        worse: the event says that it is worse than a person has seen.
    """
    most = limits.pictures - 1 if worse else min(MAX_NAMED_AT_LEISURE, limits.pictures - 1)
    hits = [record for record in choice.kept if record.kind is EvidenceKind.HIT]
    free = max(max(most, 1) - sum(record.named for record in hits), 0)
    # Of one and the same picture, as a frozen stream shows it again and again, one is named: the others would hold
    # places for good that a telling picture needs later.
    shown = {record.picture_sha256 for record in hits if record.named}
    unnamed: list[EvidenceRecord] = []
    for record in _preferred(hits):
        if not record.named and record.picture_sha256 not in shown:
            unnamed.append(record)
            shown.add(record.picture_sha256)
    chosen = {record.ref for record in unnamed[:free]}
    kept = tuple(
        replace(record, named=True)
        if record.kind is EvidenceKind.CONTEXT or record.ref in chosen
        else record
        for record in choice.kept
    )  # fmt: skip
    changed = {new.ref for old, new in zip(choice.kept, kept, strict=True) if old != new}
    promoted = {record.ref for record in choice.promoted} | changed
    return replace(choice, kept=kept, promoted=tuple(record for record in kept if record.ref in promoted))


def _best(hits: Sequence[EvidenceRecord], most: int) -> list[EvidenceRecord]:
    """At most `most` hits, and all that an event named: then the first, then those that tell most and differ, then
    those that tell most."""
    ordered = _preferred(hits)
    chosen = [record for record in ordered if record.named]
    tests: tuple[Callable[[EvidenceRecord], bool], ...] = (
        lambda record: record is ordered[0],
        lambda record: all(difference(record.pdq, one.pdq) >= ALIKE_BITS for one in chosen),
        lambda _: True,
    )
    for test in tests:
        for record in ordered:
            if len(chosen) < most and record not in chosen and test(record):
                chosen.append(record)
    return chosen


def _preferred(hits: Sequence[EvidenceRecord]) -> list[EvidenceRecord]:
    """The first by capture time, then the others by what they tell."""
    if not hits:
        return []
    first, *others = sorted(hits, key=_by_capture)
    return [first, *sorted(others, key=lambda one: (telling(one.severity, one.score, one.distance), _by_capture(one)))]


def _context(
    had: Sequence[EvidenceRecord], pool: Iterable[EvidenceRecord], hits: Sequence[EvidenceRecord]
) -> list[EvidenceRecord]:
    """The context that the incident has, and the last picture before its first hit, if that is a candidate."""
    kept = [record for record in had if record.kind is EvidenceKind.CONTEXT]
    if not hits:
        return kept
    first = min(hits, key=_by_capture)
    new = [
        record
        for record in pool
        if record.kind is EvidenceKind.CONTEXT and record not in kept
        and record.segment == first.segment and record.capture_ms < first.capture_ms
    ]  # fmt: skip
    if new and sum(record.capture_ms < first.capture_ms for record in kept) < MAX_BEFORE:
        kept.append(max(new, key=_by_capture))
    return kept


def _by_capture(record: EvidenceRecord) -> tuple[int, str]:
    return record.capture_ms, record.ref
