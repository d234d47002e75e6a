"""Byte ranges and validators of an origin's resources."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """Bytes [offset, offset + length) of a resource (RFC 8216 section 4.3.2.2)."""

    offset: int
    """>= 0."""
    length: int
    """> 0."""

    @property
    def end(self) -> int:
        """The first byte after the range."""
        return self.offset + self.length


@dataclass(frozen=True, kw_only=True)
class Validators:
    """HTTP validators, which distinguish versions of a resource (RFC 9110 section 8.8); None where not sent."""

    etag: str | None = None
    """The opaque tag without its weakness mark: a server that compresses on the fly weakens its tag."""
    last_modified: str | None = None
    """As the origin wrote it."""
    length_bytes: int | None = None
    """Length of the complete resource, not of a range."""

    def differ_from(self, other: Self) -> bool | None:
        """Returns whether the two are of different versions; None if no field is set in both."""
        pairs = (
            (self.etag, other.etag),
            (self.last_modified, other.last_modified),
            (self.length_bytes, other.length_bytes),
        )
        comparable = [(mine, theirs) for mine, theirs in pairs if mine is not None and theirs is not None]
        if not comparable:
            return None
        return any(mine != theirs for mine, theirs in comparable)
