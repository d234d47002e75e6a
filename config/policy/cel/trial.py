"""Conditions tried out before they are needed, on samples that reach all of them.

A guard hides from trials what stands behind it, so `checking` and `cost` come first.
"""

import itertools
from functools import lru_cache
from typing import Final

from config.facts import Coverage, ListMatch, SampleFacts, StreamFacts, Surroundings
from config.policy.cel.cost import MAX_SECONDS, Cost, cost_of
from config.policy.cel.expressions import Condition, Context, parse_condition
from config.policy.cel.mistakes import ConditionError


@lru_cache(maxsize=1_000)
def compile_condition(text: str) -> Condition:
    """Compiles and checks a condition; the same text is compiled once, however often its policy is read.

    Raises:
        ConditionError: syntax, an unknown name, or what does not fit together, such as an integer that is added to a
            score; a score is compared with what none is; or it costs too much; with its place.
    """
    condition = parse_condition(text)
    cost = cost_of(condition.tree)
    if cost.seconds > MAX_SECONDS:
        raise ConditionError(_too_dear(text, cost), cost.dearest.start)
    _try_out(condition)
    return condition


def _too_dear(text: str, cost: Cost) -> str:
    part = " ".join(text[cost.dearest.start : cost.dearest.end].split())
    part = part if len(part) <= _SHOWN_CHARACTERS else f"{part[:_SHOWN_CHARACTERS]}…"
    return (
        f"it could cost {cost.seconds:.2g} s of CPU on one picture, most of it in {part!r}: expected at most "
        f"{MAX_SECONDS} s. Put no all, exists, map or filter in another, and write x in list, x == y or startsWith() "
        "in place of matches()"
    )


_SHOWN_CHARACTERS: Final = 80


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
        Context(stream, sample, _around(condition, score), names=condition.names).holds(condition)


def _around(condition: Condition, share: float) -> Surroundings:
    """Windows that are empty, or full of what is asked for."""
    of_scores = {"fraction", "max"}
    return Surroundings(
        answers={
            call.variable: share if call.function in of_scores else round(share * 1_000) for call in condition.windows
        },
        coverage=Coverage(segment_seconds=4.0, moderated_seconds=4.0 * share, failed_seconds=4.0 * (1 - share)),
    )
