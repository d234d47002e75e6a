"""Conditions tried out before they are needed: on samples that reach all of them, and on the largest there can be."""

import itertools
import re
from contextlib import suppress
from functools import lru_cache
from time import thread_time
from typing import Final

from config.expressions import Condition, Context, parse_condition
from config.facts import Coverage, ListMatch, SampleFacts, StreamFacts, Surroundings
from config.names import MATCH_FIELDS, ConditionError, unknown, without_texts

MAX_MATCHES: Final = 64
"""Matches of one sample that conditions see: bounds what a rule may cost. The nearest of each list are among them."""

MAX_NESTED: Final = 2
"""Comprehensions (`all`, `exists`, `map`, …) in one another: two over all matches take some 2 ms, three 0.2 s."""
MAX_COMPREHENSIONS: Final = 12
"""Of one condition in all."""
MAX_SECONDS: Final = 0.05
"""CPU time for one sample, the largest there can be: twenty of them a segment would be a second."""

_LARGE_METADATA: Final = {f"key-{number}": "value" for number in range(1_000)}
"""About as many notes as a platform may have on a stream (16 kB)."""
_LARGE_SIGNALS: Final = {f"signal-{number}": 1.0 for number in range(50)}
_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")


@lru_cache(maxsize=1_000)
def compile_condition(text: str) -> Condition:
    """Compiles and checks a condition; the same text is compiled once, however often its policy is read.

    Raises:
        ConditionError: syntax or an unknown name, with its place; or a mistake that shows when it is tried, such as
            adding an integer to a score; or it costs too much.
    """
    condition = parse_condition(text)
    _check_nesting(text)
    _try_out(condition)
    _check_cost(condition)
    return condition


def _check_nesting(text: str) -> None:
    bare = without_texts(text)
    opened: list[bool] = []
    """Of the parentheses that are open: whether it is a comprehension's."""
    macros = {found.end() - 1: found.start() for found in _MACRO.finditer(bare)}
    for place, character in enumerate(bare):
        if character == "(":
            opened.append(place in macros)
            if sum(opened) > MAX_NESTED:
                raise ConditionError(
                    f"it would cost too much: expected at most {MAX_NESTED} of all, exists, exists_one, map and "
                    "filter in one another",
                    macros.get(place, place),
                )
        elif character == ")" and opened:
            opened.pop()
    if len(macros) > MAX_COMPREHENSIONS:
        raise ConditionError(
            f"it would cost too much: {len(macros)} of all, exists, exists_one, map and filter: expected at most "
            f"{MAX_COMPREHENSIONS}"
        )


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
        stream = StreamFacts(
            stream_id="stream", purpose=purpose, signals=dict.fromkeys(condition.signals, score * 1_000)
        )
        try:
            Context(stream, sample, _around(condition, score)).evaluate(condition)
        except KeyError as error:
            key = str(error.args[0]).strip("'\"")
            # What a platform notes on a stream differs from stream to stream; all else is known.
            if not re.search(rf"""\bmetadata\b\s*(\.\s*|\[\s*["'])(\w+\.)*{re.escape(key)}\b""", condition.text):
                place = re.search(rf"\b{re.escape(key)}\b", condition.text)
                raise ConditionError(
                    unknown("field of a match", key, MATCH_FIELDS), None if place is None else place.start()
                ) from error


def _around(condition: Condition, share: float) -> Surroundings:
    """Windows that are empty, or full of what is asked for."""
    of_scores = {"fraction", "max"}
    return Surroundings(
        answers={
            call.variable: share if call.function in of_scores else round(share * 1_000) for call in condition.windows
        },
        coverage=Coverage(segment_seconds=4.0, moderated_seconds=4.0 * share, failed_seconds=4.0 * (1 - share)),
    )


def _check_cost(condition: Condition) -> None:
    if not _MACRO.search(condition.text):
        return
    lists = sorted(condition.lists) or ["list"]
    names = [*sorted(condition.scores), *(f"model/label-{number}" for number in range(MAX_MATCHES))]
    stream = StreamFacts(stream_id="stream", metadata=_LARGE_METADATA, signals=_LARGE_SIGNALS)
    for share, video in ((0.0, None), (1.0, "1")):
        matches = tuple(
            ListMatch(list=lists[number % len(lists)], entry=str(number), distance=number % 32, video=video)
            for number in range(MAX_MATCHES)
        )
        sample = SampleFacts(
            capture_ms=0,
            pts_seconds=0.0,
            reason="keyframe",
            pdq_quality=100,
            matches=matches,
            scores=dict.fromkeys(names, share),
        )
        context = Context(stream, sample, _around(condition, share))
        if min(_seconds(condition, context) for _ in range(2)) > MAX_SECONDS:
            raise ConditionError(f"it costs over {MAX_SECONDS} s of CPU on one picture with {MAX_MATCHES} matches")


def _seconds(condition: Condition, context: Context) -> float:
    started = thread_time()
    with suppress(ConditionError):  # told by `_try_out`, or by the sample on which it happens
        context.holds(condition)
    return thread_time() - started
