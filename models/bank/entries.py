"""Lists of the bank, and their entries. Plain values that parsers make and indexes are built from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from config.facts import ALLOW, SELFTEST
from models.pdq.variant_kinds import Variant

CONFIRMED: Final = "confirmed"
"""The platform's own list: pictures that a second person confirmed."""
BUILT_IN: Final = frozenset([SELFTEST, CONFIRMED, ALLOW])
"""Built-in lists; they cannot be created or dropped."""

LIST_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
LARGEST_ID: Final = 200
"""Characters of an entry's id, which travels in every event of a match."""


class HashKind(StrEnum):
    """Type of an entry's hash, and so of its comparison."""

    PDQ = "pdq"
    """Hash of a picture; near is a match."""
    MD5 = "md5"
    """Hash of a file's bytes, like the two below; only an equal one is a match."""
    SHA1 = "sha1"
    SHA256 = "sha256"

    @property
    def size_bytes(self) -> int:
        """Length of a value."""
        return _SIZES_BYTES[self._value_]  # used for each line of a file: an enum's `value` is slow


_SIZES_BYTES: Final = {"pdq": 32, "md5": 16, "sha1": 20, "sha256": 32}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One hash of known material."""

    entry: str
    """Its id in its list, 1 to `LARGEST_ID` printable characters. One id may have a hash of each kind."""
    kind: HashKind
    value: bytes = field(repr=False)
    """`kind.size_bytes` of them; for PDQ in the order of its hex digits. Never shown, logged or put into events."""
    tags: tuple[str, ...] = ()
    """Tags from the source: category, series, classification."""
    video: str | None = None
    """The video that it is a frame of; None: a single picture."""
    seconds: float | None = None
    """Time in that video, in seconds."""


class ListSpec(BaseModel):
    """A list, apart from its entries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    source: str = ""
    """Source of the list: NCMEC, IWF, a police force, the platform."""
    category: str = ""
    max_distance: Annotated[int, Field(ge=0, le=31)] = 31
    """Hamming distance up to which a picture's PDQ hash matches, <=."""
    min_quality: Annotated[int, Field(ge=0, le=100)] = 50
    """PDQ quality from which a picture is compared with this list, >=; below 50 a hash is noise."""
    variants: tuple[Variant, ...] = ()
    owner: str = ""
    """Contact for questions about it."""
    exportable: bool = False
    """True if it may leave the bank: lists of others come with terms that forbid it."""
    refresh_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Interval in which its source is to be read again; a list that was not is stale. None: it need not be."""
    created_ms: Annotated[int, Field(ge=0)] | None = None
    """Time when it was created, in milliseconds of Redis's clock. None: unknown, or it is built in."""

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """The list of a stored record; fields of a later version are skipped.

        Raises:
            pydantic.ValidationError, TypeError: it is none.
        """
        return cls.model_validate({name: value for name, value in record.items() if name in cls.model_fields})
