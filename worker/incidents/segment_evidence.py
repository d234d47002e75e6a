"""The evidence that a segment brings to the commit: sealed pictures, and the reason where there are none."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from worker.evidence.item import SealedItem
from worker.evidence.record import EvidenceRecord

CONTEXT_EVERY_MS: Final = 10_000
"""Time between two context pictures of an open incident."""

MAX_AFTER: Final = 12
"""Context pictures from after the first hit: two minutes of them."""

NO_RECIPIENTS: Final = "no-recipients"
"""The reason that pictures are missing where `LIVEWARDEN_EVIDENCE_RECIPIENTS` is not set."""


@dataclass(frozen=True, kw_only=True)
class OpenContext:
    """An open incident that gets context pictures, one each `CONTEXT_EVERY_MS`."""

    incident: str
    rule: str
    since_ms: int
    """Capture time of the hit with which it was raised."""
    taken: frozenset[int] = frozenset()
    """Slots that have a picture."""

    def slot(self, capture_ms: int) -> int | None:
        """The slot from 1 of a picture captured then; None: it has a picture already, or there is none."""
        slot = (capture_ms - self.since_ms) // CONTEXT_EVERY_MS
        return slot if 1 <= slot <= MAX_AFTER and slot not in self.taken else None


@dataclass(frozen=True, kw_only=True)
class ContextAfter:
    """A context picture for an open incident."""

    incident: str
    slot: int
    record: EvidenceRecord


@dataclass(frozen=True, kw_only=True)
class SegmentEvidence:
    """The sealed pictures of a segment."""

    items: tuple[SealedItem, ...] = field(default=(), repr=False)
    """All of them, for the spool."""
    candidates: tuple[EvidenceRecord, ...] = ()
    """Hits, and context of them: for an incident that is raised now or later."""
    after: tuple[ContextAfter, ...] = ()
    """Context for incidents that are open."""
    missing: str = ""
    """The reason that pictures are missing, a slug; empty: none are. For `data.evidence_none`, and, after `evidence-`,
    for `degraded`."""

    @property
    def degraded(self) -> tuple[str, ...]:
        """Slugs for `degraded`: nothing failed where an operator has named no recipients, so that events say only that
        there is no evidence."""
        return (f"evidence-{self.missing}",) if self.missing not in ("", NO_RECIPIENTS) else ()

    def lost(self, reason: str) -> Self:
        """The evidence of a segment whose pictures could not be kept."""
        return replace(self, items=(), candidates=(), after=(), missing=reason)

    def with_more(self, more: Self) -> Self:
        """This evidence and more of the same segment."""
        return replace(
            self,
            items=self.items + more.items,
            candidates=self.candidates + more.candidates,
            after=self.after + more.after,
            missing=self.missing or more.missing,
        )

    def only(self, refs: Mapping[str, object] | frozenset[str], reason: str) -> Self:
        """The part that could be kept."""
        return replace(
            self,
            items=tuple(item for item in self.items if item.ref in refs),
            candidates=tuple(record for record in self.candidates if record.ref in refs),
            after=tuple(one for one in self.after if one.record.ref in refs),
            missing=reason,
        )


NO_EVIDENCE: Final = SegmentEvidence()


def contexts_of(found: Mapping[str, str]) -> tuple[OpenContext, ...]:
    """Reads the incidents of a stream that get context, as `settle` keeps them; what cannot be read is left out.

    The hash has a field INCIDENT with "since_ms rule", and a field "INCIDENT SLOT" for each slot that has a picture.
    """
    taken: dict[str, set[int]] = {}
    for name in found:
        incident, has_slot, slot = name.partition(" ")
        if has_slot and slot.isdecimal():
            taken.setdefault(incident, set()).add(int(slot))
    contexts = []
    for incident, text in found.items():
        since_ms, _, rule = text.partition(" ")
        if " " not in incident and since_ms.lstrip("-").isdecimal():
            contexts.append(
                OpenContext(
                    incident=incident,
                    rule=rule,
                    since_ms=int(since_ms),
                    taken=frozenset(taken.get(incident, ())),
                )
            )
    return tuple(contexts)
