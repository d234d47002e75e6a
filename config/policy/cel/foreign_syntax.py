"""Syntax of other languages than CEL, which people write: `and`, `=`, `True`. Each has a message of its own and is
corrected, so that other mistakes in the condition are reported together with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from config.policy.cel.mistakes import ConditionError, without_texts

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
_COMPARING: Final = re.compile(
    r"(?<![\w.])(?:not\s+in|in|is\s+not|is)(?!\w)|[=!<>:]*[=<>][=!<>]*|[≥≤≠]|[()\[\]{}]", re.IGNORECASE
)
"""Comparisons, of CEL or of other languages, and brackets."""
_BETWEEN: Final = re.compile(r"[()\[\]{},?]|:(?!=)|&+|\|+|(?<![\w.])(?:and|or)(?!\w)", re.IGNORECASE)
"""Separators of conditions, and brackets around them."""
_TYPOGRAPHIC: Final = re.compile("[“”„‟«»‘’‚]")


@dataclass(frozen=True, kw_only=True)
class CorrectedCondition:
    """A condition as CEL would have it."""

    text: str
    mistakes: tuple[ConditionError, ...]
    """Corrections, each at its place in the original condition; at least one."""
    origins: tuple[int, ...]
    """For each character of `text` its place in the condition as it stands, and for its end."""

    def moved(self, error: ConditionError) -> ConditionError:
        """A mistake in `text`, at its place in the condition as it stands."""
        offset = None if error.offset is None else self.origins[min(error.offset, len(self.text))]
        return ConditionError(str(error), offset)


def corrected(text: str) -> CorrectedCondition | None:
    """None: nothing of the kind is in it."""
    plain, mistakes = _with_plain_quotes(text)
    bare = without_texts(plain)
    edits: list[_Edit] = []
    for found in _FOUND.finditer(bare):
        written, meant = found[0], _meant(found[0])
        if meant == written:
            continue
        hint = f"`{meant}`, not `{' '.join(written.split())}`"
        edit = _Edit(found.start(), found.end(), meant)
        if meant == "in":
            hint = f"`!(x in y)`, not `x {_NOT_IN} y`"
            edits += _negated(bare, _begin(bare, found.start()), edit)
        elif meant == "!" and (compared := _compared(bare, found.end())):
            hint = f"`!(x {compared} y)`, not `not x {compared} y`"
            edits += _negated(bare, found.start(), edit._replace(text=""))
        else:
            edits.append(edit)
        mistakes.append(ConditionError(f"CEL writes {hint}", found.start()))
    return _edited(plain, edits, mistakes) if mistakes else None


class _Edit(NamedTuple):
    """`text` in the place of what is in [start, end)."""

    start: int
    end: int
    text: str


def _edited(plain: str, edits: list[_Edit], mistakes: list[ConditionError]) -> CorrectedCondition:
    parts: list[str] = []
    origins: list[int] = []
    at = 0
    for start, end, text in sorted(edits, key=lambda edit: edit[:2]):  # what is put in before what is replaced
        parts += [plain[at:start], text]
        origins += [*range(at, start), *[start] * len(text)]
        at = end
    parts.append(plain[at:])
    return CorrectedCondition(
        text="".join(parts), mistakes=tuple(mistakes), origins=(*origins, *range(at, len(plain) + 1))
    )


def _negated(bare: str, begin: int, edit: _Edit) -> list[_Edit]:
    """The edit, and `!(…)` around the comparison that it is of. Where nothing follows there is none."""
    end = _end(bare, edit.end)
    if not bare[edit.end : end].strip():
        return [edit]
    return [_Edit(begin, begin, "!("), edit, _Edit(end, end, ")")]


def _compared(bare: str, start: int) -> str | None:
    """The first operator by which what begins at `start` compares: `not` is of all that, and `!` of its first value."""
    end, depth = _end(bare, start), 0
    for found in _COMPARING.finditer(bare, start, end):
        if found[0] in "([{":
            depth += 1
        elif found[0] in ")]}":
            depth -= 1
        elif not depth:
            return _meant(found[0])
    return None


def _begin(bare: str, at: int) -> int:
    """Beginning of the condition that `at` is in."""
    begins = [0]
    for found in _BETWEEN.finditer(bare, 0, at):
        if found[0] in "([{":
            begins.append(found.end())
        elif found[0] in ")]}":
            del begins[max(1, len(begins) - 1) :]
        else:
            begins[-1] = found.end()
    return begins[-1]


def _end(bare: str, at: int) -> int:
    """End of the condition that `at` is in."""
    depth = 0
    for found in _BETWEEN.finditer(bare, at):
        if found[0] in "([{":
            depth += 1
        elif not depth:
            return found.start()
        elif found[0] in ")]}":
            depth -= 1
    return len(bare)


def _meant(written: str) -> str:
    word = " ".join(written.lower().split())
    return "in" if word == _NOT_IN else _WORDS.get(word) or _SIGNS.get(written, word)


def _with_plain_quotes(text: str) -> tuple[str, list[ConditionError]]:
    """As long as it was."""
    found = list(_TYPOGRAPHIC.finditer(without_texts(text)))
    characters = list(text)
    for quote in found:
        characters[quote.start()] = '"'
    # They come in pairs: one mistake for each.
    mistakes = [ConditionError(f'CEL writes plain quotes, "…", not {quote[0]}', quote.start()) for quote in found[::2]]
    return "".join(characters), mistakes
