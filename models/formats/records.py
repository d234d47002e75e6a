"""Records of a file of hashes, one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from models.bank.entries import Entry

Progress = Callable[[int], None]
"""Called with the bytes of the file read so far; never fewer than before."""


class Format(StrEnum):
    """Format of a file of hashes."""

    CSV = "csv"
    """Our own: a header of `hash` and more of `id,kind,tags,video,seconds`."""
    PDQ = "pdq"
    """Lines `hash` or `hash,quality,timestamp`."""
    VPDQ = "vpdq"
    """Lines `frame,quality,hash,timestamp_seconds`; one file is one video."""
    VICS = "vics"
    """Project VIC / CAID JSON, versions 1.2, 1.3 and 2.0."""
    NCMEC = "ncmec"
    """NCMEC hash sharing v2 XML."""
    THREATEXCHANGE = "threatexchange"
    """Lines `signal_type,value`, as ThreatExchange and HMA write them."""


class SkipReason(StrEnum):
    """Reason why a well-formed record of a file became no entry."""

    EMPTY_FILE = "empty-file"
    """The MD5, SHA-1 or SHA-256 of a file without bytes, which every empty upload would match."""
    LOW_QUALITY = "low-quality"
    """A PDQ hash of quality under 50: its bits are noise."""
    UNSUPPORTED_HASH = "unsupported-hash"
    """A kind that the bank does not keep: PhotoDNA, TMK, a URL."""
    NO_HASH = "no-hash"
    """An element without any hash."""
    SUPERSEDED = "superseded"
    """The same file has a newer item of the same id."""
    OTHER_CATEGORY = "other-category"
    """A category that was not requested."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """A tombstone: the source withdrew this entry, whatever kinds of hash it has."""

    entry: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Skip:
    """A well-formed piece that did not become an entry."""

    place: str
    """Place: "line 7", "value[12]", "element 3"."""
    reason: SkipReason


Record = Entry | Removal | Skip
