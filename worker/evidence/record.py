"""Records of items in Redis: digests, place, and by what they were chosen; no pixels."""

import json
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Self

from worker.errors import EvidenceError
from worker.evidence.item import EvidenceKind, SealedItem

FOLDER: Final = "evidence"
CANDIDATES: Final = f"{FOLDER}/candidates"
"""Folder of the store for candidates that have waited, so that a lost host loses little."""

CANDIDATE_BUCKET_MS: Final = 2 * 60 * 1000
"""Candidates are deleted by folder: a listing that gives no times is enough."""

MAX_FORMER: Final = 10
"""Former digests that are kept, <=: a rotation each quarter for over two years."""


@dataclass(frozen=True, kw_only=True)
class EvidenceRecord:
    """An item as Redis has it: a candidate's or an incident's."""

    ref: str
    sha256: str
    """Digest of the sealed bytes, as they are now."""
    picture_sha256: str
    kind: EvidenceKind
    capture_ms: int
    stream_id: str
    segment: str
    pts_seconds: float
    size_bytes: int
    """Size of the sealed item."""
    rule: str = ""
    severity: str = ""
    score: float = 0.0
    """The highest score of the rule's finding."""
    distance: int | None = None
    """Hamming distance of the nearest match; None: no match."""
    pdq: str = ""
    """64 hex digits; empty: unhashable."""
    pdq_quality: int | None = None
    """PDQ quality, 0 to 100; None: an older version sealed it."""
    known: bool = False
    """The rule held by matches on hash lists alone: known material, which needs no looking at."""
    purpose: str = ""
    """The stream's when it was sampled: an incident belongs to one purpose."""
    sealed_ms: int = 0
    """Time when it was sealed, in milliseconds of Redis's clock. A capture time follows from a broadcaster's claims."""
    named: bool = False
    """An event named it: it is never evicted."""
    sealed_to: str = ""
    """Fingerprint of the recipients."""
    former_sha256: tuple[str, ...] = ()
    """Digests under which events named it, before it was sealed again to other recipients; the oldest first."""
    next_sha256: str = ""
    """Digest of the bytes that are replacing it at this moment; empty: none are."""
    next_sealed_to: str = ""
    """Fingerprint of the recipients of those bytes."""
    more: dict[str, Any] = field(default_factory=dict, compare=False)
    """Fields of a newer version, kept as they are."""

    @classmethod
    def of(cls, item: SealedItem, **chosen_by: Any) -> Self:
        """The record of a sealed item; `chosen_by` has rule, severity, score and what else it is
        chosen by."""
        head = item.head
        return cls(
            ref=item.ref,
            sha256=item.sha256,
            picture_sha256=item.picture_sha256,
            kind=head.kind,
            capture_ms=head.capture_ms,
            stream_id=head.stream_id,
            segment=head.segment,
            pts_seconds=head.pts_seconds,
            size_bytes=len(item.sealed),
            sealed_to=item.sealed_to,
            **chosen_by,
        )

    def to_json(self) -> str:
        """Returns the record on one line."""
        known = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "more"}
        return json.dumps({**self.more, **known}, separators=(",", ":"))

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        """Reads a record; fields that a version before this one did not write have their defaults.

        Raises:
            EvidenceError: it is malformed.
        """
        try:
            found = dict(json.loads(text))
            names = {one.name for one in fields(cls)} - {"more"}
            known = {name: value for name, value in found.items() if name in names}
            known["kind"] = EvidenceKind(known["kind"])
            known["former_sha256"] = tuple(map(str, known.get("former_sha256", ())))
            return cls(**known, more={name: value for name, value in found.items() if name not in names})
        except (ValueError, KeyError, TypeError):
            raise EvidenceError("the record of an item in Redis is malformed", reason="damaged") from None

    def accepts(self, sha256: str) -> bool:
        """Returns whether sealed bytes with this digest are the item's."""
        return sha256 == self.sha256 or (self.next_sha256 != "" and sha256 == self.next_sha256)

    def resealing(self, item: SealedItem) -> Self:
        """The record while another sealing of the same picture replaces the item's bytes."""
        return replace(self, next_sha256=item.sha256, next_sealed_to=item.sealed_to)

    def resealed(self, *, size_bytes: int) -> Self:
        """The record once it has replaced them."""
        former = (*self.former_sha256, self.sha256)
        return replace(
            self,
            sha256=self.next_sha256,
            sealed_to=self.next_sealed_to,
            # The first is the one that events name.
            former_sha256=former if len(former) <= MAX_FORMER else (former[0], *former[1 - MAX_FORMER :]),
            next_sha256="",
            next_sealed_to="",
            size_bytes=size_bytes,
        )

    def to_event(self) -> dict[str, Any]:
        """Returns the item as events name it."""
        return {
            "ref": self.ref,
            "sha256": self.sha256,
            "kind": str(self.kind),
            "capture_ms": self.capture_ms,
            "picture_sha256": self.picture_sha256,
        }


@dataclass(frozen=True, kw_only=True)
class ItemState:
    """The value of `lw:evidence:item:{ref}`: the incident that the item belongs to, and its place."""

    incident: str
    place: str
    """`stored`: the store has it. `damaged`: its bytes in the spool were not those that were sealed. `dropped`: it made
    room in a full spool. Empty: it is in a spool."""

    @classmethod
    def read(cls, value: str) -> Self:
        """Reads `INCIDENT` or `INCIDENT PLACE`."""
        incident, _, place = value.partition(" ")
        return cls(incident=incident, place=place)

    @property
    def waits(self) -> bool:
        """The store does not have it."""
        return not self.place


def stored_path(incident: str, ref: str) -> str:
    """The path of an incident's item in the store."""
    return f"{FOLDER}/{incident}/{ref}.age"


def candidate_folder(bucket: int) -> str:
    """The folder of the store for candidates that were copied in one stretch of CANDIDATE_BUCKET_MS."""
    return f"{CANDIDATES}/{bucket:012d}"
