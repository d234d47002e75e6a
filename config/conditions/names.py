"""What is told of a condition that is not usable, and of a name that does not exist."""

import difflib
import re
from collections.abc import Collection

_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'')


class ConditionError(ValueError):
    """A condition that is not usable; the text says what was expected."""

    def __init__(self, text: str, offset: int | None = None) -> None:
        super().__init__(text)
        self.offset = offset
        """Of the mistake in the condition, in characters; None: it has no place of its own."""


def check_texts(text: str) -> None:
    """Checks that a condition reads for people as it does for CEL.

    Raises:
        ConditionError: it has a comment, which would hide the rest of it where YAML folds lines into one; or texts with
            a prefix or in three quotes, of which nobody can tell where they end without CEL's grammar.
    """
    for found in _TEXT.finditer(text):
        before, after = text[: found.start()][-1:], text[found.end() :][:1]
        if before.isalnum() or before in ("_", found[0][0]) or after == found[0][0]:
            raise ConditionError('expected texts in plain quotes, as in "NAME"', found.start())
    bare = _TEXT.sub(lambda quoted: " " * len(quoted[0]), text)  # as long as it was
    if "//" in bare:
        raise ConditionError("expected no comment: YAML has them, # on a line of its own", bare.index("//"))


_SHOWN_CHARACTERS = 100
"""Of a name: a key of a file may be all of it."""


def shortened(name: str) -> str:
    """A name as it is shown."""
    return name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}…"


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """What to tell of a name that does not exist: the nearest one that does, and all of them."""
    name = shortened(name)
    near = difflib.get_close_matches(name, known, n=1) or difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}: {hint}known are {', '.join(sorted(known)) or 'none'}"
