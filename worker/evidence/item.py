"""An item of evidence: one picture with what is known of it, before and after it is sealed.

The content that is sealed is one line of JSON, the head, and after its line break a JPEG:

    age --decrypt --identity KEY REF.age | head --lines 1               the head
    age --decrypt --identity KEY REF.age | tail --lines +2 > REF.jpg    the picture
"""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from worker.errors import EvidenceError

FORMAT_VERSION: Final = 1
"""Version of the content. A reader takes those up to its own, with unknown fields ignored."""

MAX_HEAD_BYTES: Final = 64 * 1024
"""Size of a head, <=: 20 matches and 50 scores are 10 kB."""

MAX_SEALED_BYTES: Final = 4 * 1024 * 1024
"""Size of a sealed item, <=. A JPEG of 1,280 pixels of noise, the worst there is, is 1.5 MB."""

_INCIDENT: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_REF: Final = re.compile(r"[0-9a-f]{32}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class EvidenceKind(StrEnum):
    """The reason to keep a picture."""

    HIT = "hit"
    """A live rule's condition held on it."""
    CONTEXT = "context"
    """It shows what came before or after, or what a person asked to see."""


@dataclass(frozen=True, kw_only=True)
class ItemHead:
    """The description of a picture, which is sealed with it."""

    ref: str
    """32 hex digits, random."""
    kind: EvidenceKind
    stream_id: str
    segment: str
    """Key of the segment in which it was sampled; empty: none, a picture that was asked for."""
    pts_seconds: float
    """From the first picture of its segment."""
    capture_ms: int
    """Time when the picture was live, in milliseconds of Redis's clock."""
    reason: str
    """Reason of the sample (`sampler.frames.SampleReason`), or `before`, `after` or `look` of a context picture."""
    picture_sha256: str
    """SHA-256 of the JPEG, in hex."""
    width: int
    """Width of the JPEG in pixels; so is `height`."""
    height: int
    incident: str = ""
    """Known when a picture is added to an open incident. Empty: it was sealed before there was one."""
    rules: tuple[str, ...] = ()
    """Rules whose conditions held on it."""
    matches: tuple[Mapping[str, Any], ...] = ()
    """Each {list, entry, distance}, the nearest first."""
    scores: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    """{policy, lists, models}, as events have them."""
    format: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Returns the head on one line."""
        return json.dumps(vars(self), separators=(",", ":"))

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        """Reads a head; unknown fields are ignored.

        Raises:
            EvidenceError: it is malformed, or of a newer format.
        """
        try:
            found = json.loads(text)
            version = int(found["format"])
            if version > FORMAT_VERSION:
                raise EvidenceError(
                    f"an item of format {version}: this version reads up to {FORMAT_VERSION}", reason="damaged"
                )
            return cls(
                ref=_matching(_REF, found["ref"]),
                kind=EvidenceKind(found["kind"]),
                stream_id=str(found["stream_id"]),
                segment=str(found["segment"]),
                pts_seconds=float(found["pts_seconds"]),
                capture_ms=int(found["capture_ms"]),
                reason=str(found["reason"]),
                picture_sha256=_matching(_DIGEST, found["picture_sha256"]),
                width=int(found["width"]),
                height=int(found["height"]),
                incident=str(found.get("incident", "")),
                rules=tuple(map(str, found.get("rules", ()))),
                matches=tuple(dict(match) for match in found.get("matches", ())),
                scores={str(name): float(score) for name, score in found.get("scores", {}).items()},
                versions=dict(found.get("versions", {})),
                format=version,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            # Without the cause: its text may quote the content.
            raise EvidenceError("the head of an item is malformed", reason="damaged") from None


@dataclass(frozen=True, kw_only=True)
class SealedItem:
    """A sealed picture, as it is kept."""

    head: ItemHead
    sealed: bytes = field(repr=False)
    """In the age format."""
    sha256: str
    """SHA-256 of `sealed`, in hex."""
    sealed_to: str
    """Fingerprint of the recipients (`worker.evidence.sealing.Recipients`)."""

    @property
    def ref(self) -> str:
        """The item's reference."""
        return self.head.ref

    @property
    def picture_sha256(self) -> str:
        """SHA-256 of the JPEG, in hex."""
        return self.head.picture_sha256


def new_ref() -> str:
    """Returns a new reference: a segment that is moderated again seals anew."""
    return secrets.token_hex(16)


def is_ref(text: str) -> bool:
    """Returns whether `text` has the form of a reference."""
    return _REF.fullmatch(text) is not None


def is_incident(text: str) -> bool:
    """Returns whether `text` may name an incident: what else stands in its place must become no path and no key."""
    return _INCIDENT.fullmatch(text) is not None


def digest_of(data: bytes) -> str:
    """Returns SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def _matching(pattern: re.Pattern[str], text: Any) -> str:
    if not isinstance(text, str) or pattern.fullmatch(text) is None:
        raise ValueError
    return text
