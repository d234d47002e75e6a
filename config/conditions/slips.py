"""What people write who know another language than CEL: `and`, `=`, `True`. It is told in words of its own, and
corrected, so that what else is wrong with a condition is told at once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from config.conditions.mistakes import ConditionError, without_texts

_WORDS: Final[Mapping[str, str]] = {
    "and": "&&",
    "or": "||",
    "not": "!",
    "is": "==",
    "is not": "!=",
    "true": "true",
    "false": "false",
    "none": "null",
    "null": "null",
    "nil": "null",
}
"""In small letters, with what CEL has for them."""

_SIGNS: Final[Mapping[str, str]] = {
    "=": "==",
    ":=": "==",
    "===": "==",
    "!==": "!=",
    "<>": "!=",
    "=>": ">=",
    "=<": "<=",
    "&": "&&",
    "|": "||",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "−": "-",
    "–": "-",
}

_NOT_IN: Final = "not in"

_FOUND: Final = re.compile(
    r"(?<![\w.])(?:not\s+in|is\s+not|and|or|not|is|true|false|none|null|nil)(?!\w)"
    r"|===|!==|:=|<>|=>|=<|(?<![=!<>:])=(?!=)|(?<!&)&(?!&)|(?<!\|)\|(?!\|)|[≥≤≠−–]",
    re.IGNORECASE,
)
_TYPOGRAPHIC: Final = re.compile("[“”„‟«»‘’‚]")


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """A condition as CEL would have it."""

    text: str
    mistakes: tuple[ConditionError, ...]
    """What was corrected, each at its place in the condition as it stands; at least one."""
    origins: tuple[int, ...]
    """For each character of `text` its place in the condition as it stands, and for its end."""

    def moved(self, error: ConditionError) -> ConditionError:
        """A mistake in `text`, at its place in the condition as it stands."""
        offset = None if error.offset is None else self.origins[min(error.offset, len(self.text))]
        return ConditionError(str(error), offset)


def corrected(text: str) -> Corrected | None:
    """None: nothing of the kind is in it."""
    plain, mistakes = _with_plain_quotes(text)
    parts: list[str] = []
    origins: list[int] = []
    at = 0
    for found in _FOUND.finditer(without_texts(plain)):
        written, meant = found[0], _meant(found[0])
        if meant == written:
            continue
        told = f"`!(x in y)`, not `x {_NOT_IN} y`" if meant == "in" else f"`{meant}`, not `{' '.join(written.split())}`"
        mistakes.append(ConditionError(f"CEL writes {told}", found.start()))
        parts += [plain[at : found.start()], meant]
        origins += [*range(at, found.start()), *[found.start()] * len(meant)]
        at = found.end()
    if not mistakes:
        return None
    parts.append(plain[at:])
    return Corrected(text="".join(parts), mistakes=tuple(mistakes), origins=(*origins, *range(at, len(plain) + 1)))


def _meant(written: str) -> str:
    word = " ".join(written.lower().split())
    return "in" if word == _NOT_IN else _WORDS.get(word) or _SIGNS[written]


def _with_plain_quotes(text: str) -> tuple[str, list[ConditionError]]:
    """As long as it was."""
    found = list(_TYPOGRAPHIC.finditer(without_texts(text)))
    characters = list(text)
    for quote in found:
        characters[quote.start()] = '"'
    # They come in pairs: one mistake for each.
    told = [ConditionError(f'CEL writes plain quotes, "…", not {quote[0]}', quote.start()) for quote in found[::2]]
    return "".join(characters), told
