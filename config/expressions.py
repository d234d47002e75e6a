"""Conditions of rules: CEL, compiled once, checked when the policy is loaded, evaluated once a sample.

CEL finds an unknown name only when it comes across it. A policy that is wrong must not be found out on the night when
its rule is needed, so names are checked before, and each condition is tried on samples that reach all of it.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cel

from config.facts import ListMatch, SampleFacts, StreamFacts

FUNCTIONS: Final = ("matched", "score")
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "matches": (),
    "sample": ("capture_ms", "pts_seconds", "quality", "reason"),
    "scores": (),
    "stream": ("audience", "drill", "id", "metadata", "purpose", "risk_prior"),
}
"""The names that a condition may use, and their fields."""

_BUILT_INS: Final = frozenset(
    {"bool", "bytes", "contains", "double", "duration", "dyn", "endsWith", "getDate", "getDayOfMonth", "getDayOfWeek"}
    | {"getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds", "has"}
    | {"int", "matches", "max", "min", "size", "startsWith", "string", "timestamp", "type", "uint"}
)
"""CEL's own functions, as the package `common-expression-language` 0.10 has them."""

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_FIELD = re.compile(r"(?<![\w.])(stream|sample)\s*\.\s*(\w+)")
_ASKED_SCORE = re.compile(r"""(?:\bscore\(\s*|\bscores\[\s*)(?:"([^"]*)"|'([^']*)')""")
_ASKED_LIST = re.compile(r"""(?:\bmatched\(\s*|\.\s*list\s*[=!]=\s*)(?:"([^"]*)"|'([^']*)')""")
_POSITION = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")


class ConditionError(ValueError):
    """A condition that is not usable; the text says where, and what was expected."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A compiled condition. Equal if its text is."""

    text: str
    scores: frozenset[str]
    """Scores that the text names, "<model>/<label>"."""
    lists: frozenset[str]
    """Hash lists that the text names."""
    uses_matches: bool
    uses_scores: bool
    program: Any


class Context:
    """The names that conditions see, for one sample. Building one costs 22 µs; all rules share it."""

    def __init__(self, stream: StreamFacts, sample: SampleFacts) -> None:
        lists = {match.list for match in sample.matches}
        scores = {name: float(score) for name, score in sample.scores.items()}
        self._misuse: list[str] = []

        def matched(*arguments: Any) -> bool:
            return bool(self._one_text("matched", arguments)) and arguments[0] in lists

        def score(*arguments: Any) -> float:
            return scores.get(arguments[0], 0.0) if self._one_text("score", arguments) else 0.0

        self._context = cel.Context(
            variables={
                "matches": [_match(match) for match in sample.matches],
                "scores": scores,
                "stream": {
                    "id": stream.stream_id,
                    "purpose": stream.purpose,
                    "audience": stream.audience,
                    "risk_prior": float(stream.risk_prior),
                    "metadata": dict(stream.metadata),
                    "drill": stream.drill,
                },
                "sample": {
                    "capture_ms": sample.capture_ms,
                    "pts_seconds": float(sample.pts_seconds),
                    "reason": str(sample.reason),
                    "quality": sample.pdq_quality,
                },
            },
            functions={"matched": matched, "score": score},
        )

    def _one_text(self, function: str, arguments: tuple[Any, ...]) -> bool:
        """A function that raises makes the CEL binding write to stderr, so wrong calls are noted here instead."""
        fits = len(arguments) == 1 and isinstance(arguments[0], str)
        if not fits:
            self._misuse.append(f'{function}() takes one text, as in {function}("NAME")')
        return fits

    def holds(self, condition: Condition) -> bool:
        """Whether the condition holds. One that asks for a score or a metadata key which is not there does not hold.

        Raises:
            ConditionError: it cannot be evaluated on this sample.
        """
        try:
            return self.evaluate(condition)
        except KeyError:
            return False

    def evaluate(self, condition: Condition) -> bool:
        """As `holds`, but a missing key is told.

        Raises:
            KeyError: a map lacks a key that the condition asks for.
            ConditionError: it cannot be evaluated on this sample.
        """
        self._misuse.clear()
        try:
            result = condition.program.execute(self._context)
        except KeyError:
            raise
        except Exception as error:
            raise ConditionError(str(error).partition(". ")[0]) from error
        if self._misuse:
            raise ConditionError(self._misuse[0])
        if not isinstance(result, bool):
            raise ConditionError(f"expected true or false, it gives a {type(result).__name__}")
        return result


def compile_condition(text: str) -> Condition:
    """Compiles and checks a condition.

    Raises:
        ConditionError: syntax, with its position; an unknown name, with the known ones; or a mistake that shows when
            it is tried, such as adding an integer to a score.
    """
    try:
        program = cel.compile(text)
    except ValueError as error:
        position = _POSITION.search(str(error))
        if position is None:
            raise ConditionError(str(error)) from error
        line, column, what = position.groups()
        raise ConditionError(f"line {line}, column {column}: {what.partition(' expecting ')[0]}") from error
    bare = _TEXT.sub(lambda quoted: " " * len(quoted[0]), text)
    _check_names(program.references(), bare)
    condition = Condition(
        text=text,
        scores=frozenset(_asked(_ASKED_SCORE, text)),
        lists=frozenset(_asked(_ASKED_LIST, text)),
        uses_matches=bool(re.search(r"\bmatches\b(?!\s*\()|\bmatched\s*\(", bare)),
        uses_scores=bool(re.search(r"\bscores?\b", bare)),
        program=program,
    )
    _try_out(condition)
    return condition


def _check_names(references: Mapping[str, list[str]], bare: str) -> None:
    bound = set(_BOUND.findall(bare))
    for name in references["variables"]:
        if name not in FIELDS and name not in bound:
            raise ConditionError(f"unknown name {name!r}{_at(name, bare)}: known are {', '.join(sorted(FIELDS))}")
    for name in references["functions"]:
        if name.isidentifier() and name not in _BUILT_INS and name not in FUNCTIONS:
            raise ConditionError(
                f"unknown function {name!r}{_at(name, bare)}: known are {', '.join((*FUNCTIONS, *sorted(_BUILT_INS)))}"
            )
    for owner, name in _FIELD.findall(bare):
        if name not in FIELDS[owner]:
            raise ConditionError(
                f"unknown name '{owner}.{name}'{_at(name, bare)}: known are {', '.join(FIELDS[owner])}"
            )


def _at(name: str, bare: str) -> str:
    found = re.search(rf"\b{re.escape(name)}\b", bare)
    if found is None:
        return ""
    before = bare[: found.start()]
    return f" at line {before.count(chr(10)) + 1}, column {found.start() - before.rfind(chr(10))}"


def _asked(pattern: re.Pattern[str], text: str) -> list[str]:
    return [double or single for double, single in pattern.findall(text)]


def _match(match: ListMatch) -> dict[str, Any]:
    return {
        "list": match.list,
        "entry": _text(match.entry),
        "distance": match.distance,
        "video": _text(match.video or ""),
        "variant": match.variant or "",
        "tags": [_text(tag) for tag in match.tags],
    }


def _text(text: str) -> str:
    """As CEL can hold it: without the lone surrogates that a list made from JSON may have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def _try_out(condition: Condition) -> None:
    """Evaluates the condition on samples that match what it names and on one that matches nothing.

    Each of `&&` and `||` hides what stands behind it from some sample; from all of them, little stays hidden.
    """
    lists = sorted(condition.lists) or ["list"]
    pictures = tuple(ListMatch(list=name, entry="1", distance=0, tags=("tag",)) for name in lists)
    frames = tuple(ListMatch(list=name, entry="1", distance=31, video="1", variant="mirror") for name in lists)
    names = sorted(condition.scores) or ["model/label"]
    for found, score, purpose in itertools.product(((), pictures, frames), (0.0, 1.0), ("live", "drill", "canary")):
        sample = SampleFacts(
            capture_ms=0,
            pts_seconds=0.0,
            reason="keyframe",
            pdq_quality=100,
            matches=found,
            scores=dict.fromkeys(names, score),
        )
        try:
            Context(StreamFacts(stream_id="stream", purpose=purpose), sample).evaluate(condition)
        except KeyError as error:
            key = str(error.args[0]).strip("'\"")
            # What a platform notes on a stream differs from stream to stream; all else is known.
            if not re.search(rf"""\bmetadata\b\s*(\.\s*|\[\s*["'])(\w+\.)*{re.escape(key)}\b""", condition.text):
                raise ConditionError(
                    f"unknown name {key!r}: a match has list, entry and distance, and video, variant and tags"
                ) from error
