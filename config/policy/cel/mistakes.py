"""Errors of conditions that are not usable."""

import re
from collections.abc import Iterable

from config.documents.mistakes import PlacedError

_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'')


class ConditionError(PlacedError):
    """A condition that is not usable; the text names what was expected."""

    def __init__(self, text: str, offset: int | None = None) -> None:
        super().__init__(text, offset)
        self.scores: frozenset[str] = frozenset()
        """Scores that it uses all the same."""


def together(mistakes: Iterable[ConditionError], scores: frozenset[str] = frozenset()) -> ConditionError:
    """Joins mistakes in one condition, at least one, into one to raise; equal ones at one place are reported once."""
    unique = {(one.offset or 0, str(one)): one for mistake in mistakes for one in mistake.every}
    first, *others = (unique[key] for key in sorted(unique))
    first.further, first.scores = tuple(others), scores
    for other in others:
        other.further = ()
    return first


def check_texts(text: str) -> None:
    """Checks that a condition reads for people as it does for CEL.

    Raises:
        ConditionError: it has a comment, which would hide the rest of it where YAML folds lines into one; or texts with
            a prefix or in three quotes, whose end only CEL's grammar finds.
    """
    for found in _TEXT.finditer(text):
        before, after = text[: found.start()][-1:], text[found.end() :][:1]
        if before.isalnum() or before in ("_", found[0][0]) or after == found[0][0]:
            raise ConditionError('expected texts in plain quotes, as in "NAME"', found.start())
    bare = without_texts(text)
    if "//" in bare:
        raise ConditionError("expected no comment: YAML has them, # on a line of its own", bare.index("//"))


def without_texts(text: str) -> str:
    """A condition with blanks in place of the texts in it: as long as it was."""
    return _TEXT.sub(lambda quoted: " " * len(quoted[0]), text)
