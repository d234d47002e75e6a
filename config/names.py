"""The names that conditions may use, and what is told of one that does not exist."""

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Final

FUNCTIONS: Final = ("matched", "score", "signal")
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "coverage": ("failed_seconds", "moderated_seconds", "segment_seconds", "unhashable_seconds"),
    "matches": (),
    "sample": ("capture_ms", "pts_seconds", "quality", "reason"),
    "scores": (),
    "signals": (),
    "stream": ("audience", "drill", "id", "metadata", "purpose", "risk_prior"),
}
"""The names that a condition may use, and their fields. `window` is no value: config/windows.py has its calls."""
MATCH_FIELDS: Final = ("distance", "entry", "list", "tags", "variant", "video")

_BUILT_INS: Final = frozenset(
    {"bool", "bytes", "contains", "double", "duration", "dyn", "endsWith", "getDate", "getDayOfMonth", "getDayOfWeek"}
    | {"getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds", "has"}
    | {"int", "matches", "max", "min", "size", "startsWith", "string", "timestamp", "type", "uint"}
)
"""CEL's own functions, as the package `common-expression-language` 0.10 has them."""

_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_FIELD = re.compile(rf"(?<![\w.])({'|'.join(name for name, fields in FIELDS.items() if fields)})\s*\.\s*(\w+)")


_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'')


class ConditionError(ValueError):
    """A condition that is not usable; the text says what was expected."""

    def __init__(self, text: str, offset: int | None = None) -> None:
        super().__init__(text)
        self.offset = offset
        """Of the mistake in the condition, in characters; None: it has no place of its own."""


def without_texts(text: str) -> str:
    """A condition with what stands in quotes blanked, so that names can be looked for; as long as it was.

    Raises:
        ConditionError: it has a comment, which would hide the rest of it where YAML folds lines into one; or texts with
            a prefix or in three quotes, of which nobody can tell where they end without CEL's grammar.
    """
    for found in _TEXT.finditer(text):
        before, after = text[: found.start()][-1:], text[found.end() :][:1]
        if before.isalnum() or before in ("_", found[0][0]) or after == found[0][0]:
            raise ConditionError('expected texts in plain quotes, as in "NAME"', found.start())
    bare = _TEXT.sub(lambda quoted: " " * len(quoted[0]), text)
    if "//" in bare:
        raise ConditionError("expected no comment: YAML has them, # on a line of its own", bare.index("//"))
    return bare


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """What to tell of a name that does not exist: the nearest one that does, and all of them."""
    near = difflib.get_close_matches(name, known, n=1) or difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}: {hint}known are {', '.join(sorted(known)) or 'none'}"


def check_names(references: Mapping[str, list[str]], bare: str, answers: Collection[str]) -> None:
    """Checks the names that a compiled condition refers to.

    Args:
        bare: its text, with what stands in quotes blanked.
        answers: variables that stand for calls of `window`.

    Raises:
        ConditionError: one is not known; with the nearest that is.
    """
    bound = {found[1] for found in _BOUND.finditer(bare)}
    for name in references["variables"]:
        if name not in FIELDS and name not in bound and name not in answers:
            known = sorted({*FIELDS, "window"})
            what = 'window is asked by its functions, as in window.count("MODEL/LABEL", 0.8, "30s")'
            raise ConditionError(what if name == "window" else unknown("name", name, known), _at(name, bare))
    for name in references["functions"]:
        if name.isidentifier() and name not in _BUILT_INS and name not in FUNCTIONS:
            near = difflib.get_close_matches(name, {*FUNCTIONS, *_BUILT_INS}, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            functions = ", ".join((*FUNCTIONS, *sorted(_BUILT_INS)))
            raise ConditionError(f"unknown function {name!r}: {hint}known are {functions}", _at(name, bare))
    for found in _FIELD.finditer(bare):
        owner, name = found.groups()
        if name not in FIELDS[owner]:
            known = [f"{owner}.{field}" for field in FIELDS[owner]]
            raise ConditionError(unknown("name", f"{owner}.{name}", known), found.start(2))


def _at(name: str, bare: str) -> int | None:
    found = re.search(rf"\b{re.escape(name)}\b", bare)
    return None if found is None else found.start()
