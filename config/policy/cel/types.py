"""Kinds of values that conditions handle, how large these can be, and what CEL's engine does with them.

What is listed here as allowed is what `common-expression-language` 0.10 does; a test holds both against one another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from config.policy.cel.syntax import MACROS

MAX_NOTE_CHARACTERS: Final = 16_384
"""Size of a stream's metadata as JSON: all of it may be one text."""
MAX_NOTES: Final = 2_000
"""Values in it, keys among them: the engine copies lists and maps whole when it takes something out of them."""
MAX_SIGNALS: Final = 50
"""Bound of worker/ingest/registry/signals.py."""
MAX_SCORES: Final = 100
"""Labels of all classifiers together."""
MAX_NAME_CHARACTERS: Final = 200
"""Length of IDs, and of names of lists, entries, tags and labels."""


KEY: Final = "key"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Type of a value, with bounds on its size."""

    name: str
    """CEL's name of the type; `dyn` is any."""
    item: "Kind | None" = None
    """Type of a list's items, or of a map's values; keys are texts. None: any."""
    fields: Mapping[str, "Kind"] | None = None
    """Fields of a map that has these and no others."""
    owner: str = ""
    """The owner of these fields, for messages; KEY for a text that is a key in a comprehension."""
    inner: "Kind | None" = None
    """Type of the elements in a comprehension, where all of them together have this size."""
    most: int = 0
    """Upper bound (<=) of a list's or map's items, of a text's characters, or of either for any value."""
    holds: int | None = None
    """Values in it at all depths, where that is bounded otherwise than by its items."""

    @cached_property
    def values(self) -> int:
        """Count of the values in it, itself included: the engine copies them all."""
        if self.holds is not None:
            return 1 + self.holds
        if self.fields is not None:
            return 1 + sum(1 + kind.values for kind in self.fields.values())
        if self.name in ("list", "map"):
            item = 1 if self.item is None else self.item.values
            return 1 + self.most * (item + (self.name == "map"))
        return 1 + self.most if self.name == "dyn" else 1

    @property
    def element(self) -> "Kind":
        """Type of the elements in a comprehension over it: items, or keys."""
        if self.name == "map":
            most = MAX_NAME_CHARACTERS if self.item in (DOUBLE, None) else MAX_NOTE_CHARACTERS
            return Kind(name="string", most=most, owner=KEY)
        return self.inner or self.item or ANY

    @property
    def part(self) -> "Kind":
        """Type of the value under a field or key of it."""
        return self if self.name == "dyn" else self.item or ANY

    @property
    def characters(self) -> int:
        """Length of the text that it may be."""
        if self.name == "string":
            return self.most
        return max(self.most, MAX_NOTE_CHARACTERS) if self.name == "dyn" else MAX_NAME_CHARACTERS


BOOL: Final = Kind(name="bool")
INT: Final = Kind(name="int")
UINT: Final = Kind(name="uint")
DOUBLE: Final = Kind(name="double")
NULL: Final = Kind(name="null")
TEXT: Final = Kind(name="string", most=MAX_NAME_CHARACTERS)
ANY: Final = Kind(name="dyn", most=MAX_NOTES)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The largest picture there can be, in one of its shapes."""

    matches: int
    tags: int
    notes_in: int = 0
    """Index in NOTES_IN of the long metadata: a list of a thousand has no room for other lists of a thousand."""


NOTES_IN: Final = (0, 1)
"""0: in what conditions name, as stream.metadata.tags; 1: in what a comprehension over that finds."""


def names(sizes: Sizes) -> dict[str, Kind]:
    """The names that conditions see, but for `window`, which is no value."""
    long = MAX_NOTES if sizes.notes_in else 1
    deepest = Kind(name="dyn", most=MAX_NOTES, holds=1)  # three nested lists are not needed: it counts as long
    inner = Kind(name="dyn", most=long, holds=long, inner=deepest)
    most = 1 if sizes.notes_in else MAX_NOTES
    note = Kind(name="dyn", most=most, holds=MAX_NOTES, inner=inner)
    notes = Kind(name="map", item=note, most=most, holds=MAX_NOTES, inner=inner)
    match = {
        "distance": INT,
        "entry": TEXT,
        "list": TEXT,
        "tags": Kind(name="list", item=TEXT, most=sizes.tags),
        "variant": TEXT,
        "video": TEXT,
    }
    stream = {
        "audience": TEXT,
        "drill": BOOL,
        "id": TEXT,
        "metadata": notes,
        "purpose": TEXT,
        "risk": DOUBLE,
        "risk_prior": DOUBLE,
    }
    seconds = ("failed_seconds", "moderated_seconds", "segment_seconds", "unhashable_seconds")
    sample = {"capture_ms": INT, "pts_seconds": DOUBLE, "quality": INT, "reason": TEXT}
    one = Kind(name="map", fields=match, owner="match")
    return {
        "coverage": Kind(name="map", fields=dict.fromkeys(seconds, DOUBLE), owner="coverage"),
        "matches": Kind(name="list", item=one, most=sizes.matches),
        "sample": Kind(name="map", fields=sample, owner="sample"),
        "scores": Kind(name="map", item=DOUBLE, most=MAX_SCORES),
        "signals": Kind(name="map", item=DOUBLE, most=MAX_SIGNALS),
        "stream": Kind(name="map", fields=stream, owner="stream"),
    }


_NAMES: Final = names(Sizes(matches=0, tags=0))
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {name: tuple(kind.fields or ()) for name, kind in _NAMES.items()}
"""The names that a condition may use, and their fields. `window` is no value: `windows` has its calls."""

NUMBERS: Final = frozenset({"double", "int", "uint"})
ARITHMETIC: Final[Mapping[tuple[str, str, str], str]] = {
    **{(kind, sign, kind): kind for kind in ("double", "int", "uint") for sign in "+-*/"},
    **{(kind, "%", kind): kind for kind in ("int", "uint")},
    **{(kind, "+", kind): kind for kind in ("string", "bytes", "list", "duration")},
    ("list", "+", "map"): "list",
    ("timestamp", "+", "duration"): "timestamp",
    ("timestamp", "-", "duration"): "timestamp",
    ("timestamp", "-", "timestamp"): "duration",
    ("duration", "-", "duration"): "duration",
}
"""(left, operator, right) -> type of the result."""
ORDERED: Final = frozenset({"string", "bool", "bytes", "timestamp", "duration"})
"""Kinds that `<` compares with their own; NUMBERS it compares with one another, and `==` compares anything."""
NEGATED: Final = frozenset({"double", "int", "bool"})
"""By `-`."""
KEYS: Final = frozenset({"string", "int", "uint", "bool"})
"""Types of keys of maps."""

CONVERSIONS: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "bytes": (frozenset({"string", "bytes"}), "bytes"),
    "double": (NUMBERS | {"string"}, "double"),
    "duration": (frozenset({"duration", "string"}), "duration"),
    "int": (NUMBERS | {"string"}, "int"),
    "size": (frozenset({"string", "bytes", "list", "map"}), "int"),
    "string": (NUMBERS | {"string", "bytes", "timestamp", "duration"}, "string"),
    "timestamp": (frozenset({"timestamp", "string"}), "timestamp"),
    "uint": (NUMBERS | {"string"}, "uint"),
}
"""Functions of one value: what they take, and what they give."""
OF_TEXTS: Final = ("contains", "endsWith", "matches", "startsWith")
"""Called on a text, with a text: as in stream.id.startsWith("x"). They give a bool."""
OF_DATES: Final = ("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getMonth")
OF_TIMES: Final = ("getHours", "getMilliseconds", "getMinutes", "getSeconds")
"""Called on a timestamp, these on a duration too. They give an int."""
OF_NAMES: Final[Mapping[str, Kind]] = {"matched": BOOL, "score": DOUBLE, "signal": DOUBLE}
"""Livewarden's functions: they take one text."""
OF_WINDOWS: Final[Mapping[str, Kind]] = {
    "count": INT,
    "fraction": DOUBLE,
    "matched": INT,
    "max": DOUBLE,
    "samples": INT,
}
"""Types of the results of `window`'s functions."""

FUNCTIONS: Final = (*OF_NAMES, "dyn", "has", "type", *CONVERSIONS, *OF_TEXTS, *OF_DATES, *OF_TIMES, *MACROS)
"""All there are, but for those of `window`."""
