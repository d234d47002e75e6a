"""What is told of a condition that is not usable, and of a name that does not exist."""

import difflib
import re
from collections.abc import Collection, Iterable

_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'')


class ConditionError(ValueError):
    """A condition that is not usable; the text says what was expected."""

    def __init__(self, text: str, offset: int | None = None) -> None:
        super().__init__(text)
        self.offset = offset
        """Of the mistake in the condition, in characters; None: it has no place of its own."""
        self.further: tuple[ConditionError, ...] = ()
        """What else is wrong with it, from left to right."""
        self.scores: frozenset[str] = frozenset()
        """Scores that it asks for all the same."""

    @property
    def every(self) -> "tuple[ConditionError, ...]":
        """All that is wrong with the condition."""
        return (self, *self.further)


def together(mistakes: Iterable[ConditionError], scores: frozenset[str] = frozenset()) -> ConditionError:
    """Several mistakes in one condition, at least one, as one to be raised; the same at the same place is told once."""
    told = {(one.offset or 0, str(one)): one for mistake in mistakes for one in mistake.every}
    first, *others = (told[key] for key in sorted(told))
    first.further, first.scores = tuple(others), scores
    for other in others:
        other.further = ()
    return first


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
    bare = without_texts(text)
    if "//" in bare:
        raise ConditionError("expected no comment: YAML has them, # on a line of its own", bare.index("//"))


_SHOWN_CHARACTERS = 100
"""Of a name: a key of a file may be all of it."""


def without_texts(text: str) -> str:
    """A condition with blanks in place of the texts in it: as long as it was."""
    return _TEXT.sub(lambda quoted: " " * len(quoted[0]), text)


def shortened(name: str) -> str:
    """A name as it is shown."""
    return name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}…"


def nearest(name: str, known: Collection[str]) -> str | None:
    """The name that was probably meant; None: none is near."""
    found = difflib.get_close_matches(name, known, n=1) or difflib.get_close_matches(name.lower(), known, n=1)
    return found[0] if found else None


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """What to tell of a name that does not exist: the nearest one that does, and all of them."""
    name = shortened(name)
    near = nearest(name, known)
    hint = "" if near is None else f"did you mean {near!r}? "
    return f"unknown {kind} {name!r}: {hint}known are {', '.join(sorted(known)) or 'none'}"
