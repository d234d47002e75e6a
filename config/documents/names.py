"""Messages for unknown names in files, with the nearest known one."""

import difflib
from collections.abc import Collection

_SHOWN_CHARACTERS = 100
"""Bound for a name that is shown: a key of a file may be all of it."""


def shortened(name: str) -> str:
    """A name as it is shown."""
    return name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}…"


def nearest(name: str, known: Collection[str]) -> str | None:
    """The name that was probably meant; None: none is near."""
    found = difflib.get_close_matches(name, known, n=1) or difflib.get_close_matches(name.lower(), known, n=1)
    return found[0] if found else None


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """The message for an unknown name: the nearest known one, and all of them."""
    name = shortened(name)
    near = nearest(name, known)
    hint = "" if near is None else f"did you mean {near!r}? "
    return f"unknown {kind} {name!r}: {hint}known are {', '.join(sorted(known)) or 'none'}"
