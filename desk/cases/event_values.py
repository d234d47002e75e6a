"""Values of events and records as a page reads them: of the kind that is expected, or none. Nothing here raises: an
event may be damaged, or of a newer version, and its case is judged all the same."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

MOST_CHARACTERS: Final = 500
"""Limit for a text that a platform, a broadcaster or a list wrote: a page shows its beginning."""
CUT: Final = "…"


def object_of(value: object) -> Mapping[str, Any]:
    """The object; empty if it is none."""
    return value if isinstance(value, dict) else {}


def objects_of(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list; others are left out."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def texts_of(value: object) -> list[str]:
    """The texts in a list; others are left out."""
    return [shown(one) for one in value if isinstance(one, str)] if isinstance(value, list) else []


def text_of(value: object, default: str = "") -> str:
    """The text, of at most `MOST_CHARACTERS`; the default if it is none."""
    return shown(value) if isinstance(value, str) and value else default


def number_of(value: object) -> float | None:
    """The number; None if it is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def whole_of(value: object) -> int | None:
    """The whole number; None if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def numbers_of(value: object) -> dict[str, float]:
    """The numbers of an object, by name."""
    found = ((shown(name), number_of(one)) for name, one in object_of(value).items())
    return {name: one for name, one in found if one is not None}


def ms_of(value: object) -> int | None:
    """A time of RFC 3339 in milliseconds since 1970; None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        return None if at.tzinfo is None else round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def shown(text: str) -> str:
    """A foreign text as a page shows it: bounded, on one line, without characters that turn text around. A template
    escapes it."""
    cut = text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + CUT
    return "".join(one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" for one in cut)
