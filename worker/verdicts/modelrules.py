"""What a policy may ask of which model: checked before a policy is in force, since only here both are known."""

import itertools
import re
from collections.abc import Iterator, Sequence

from config.cascade import Stage
from config.expressions import Condition, Context
from config.facts import ListMatch, SampleFacts, StreamFacts, Surroundings
from config.mistakes import Location
from config.names import ConditionError, unknown
from config.policy import Policy
from config.windows import WindowCall
from models.manifest import Category, Manifest, Use

_ALL_SCORES = re.compile(r"\bscores\b(?!\s*\[)")
"""`scores` taken as a whole, so that no name tells which of them a rule looks at."""

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')

Problem = tuple[Location, str]
"""A field of the policy, and what was expected there."""

_MANY = 20
"""Samples in a window, where there are many."""

_LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Scores on which conditions about minors are tried."""


def check_models(policy: Policy, models: Sequence[Manifest]) -> None:
    """Checks rules and cascade against the models that run.

    Raises:
        PolicyError: with file, line, and rule or stage: a live rule asks for scores that are for shadow rules only; the
            cascade asks for a label that no model has, or lets a model about minors look without cause; or a condition
            holds for a low score about minors and not for a high one, which would clear somebody.
    """
    problems = [*_shadow_only(policy, models), *_cascade(policy, models), *_clearing(policy, models)]
    if problems:
        raise policy.refused(problems)


def _shadow_only(policy: Policy, models: Sequence[Manifest]) -> Iterator[Problem]:
    shadow = {model.key(label) for model in models if model.use is Use.SHADOW for label in model.labels}
    if not shadow:
        return
    for place, rule in enumerate(policy.rules):
        if rule.mode != "live":
            continue
        asked = sorted(_asked(rule.condition) & shadow)
        if asked:
            text = f"{asked[0]} is for rules with `mode: shadow` only, says its manifest"
        elif _ALL_SCORES.search(_TEXT.sub("", rule.when)):
            text = (
                f"`scores` as a whole holds {min(shadow)}, which is for rules with `mode: shadow` only: "
                'name scores, as in score("MODEL/LABEL")'
            )
        else:
            continue
        yield ("rules", place, "when"), text


def _cascade(policy: Policy, models: Sequence[Manifest]) -> Iterator[Problem]:
    keys = {model.key(label) for model in models for label in model.labels}
    about_minors = {model.name for model in models if _keys_about_minors(model)}
    for place, stage in enumerate(policy.cascade or ()):
        for score in sorted(_asked(stage.condition) - keys):
            yield ("cascade", place, "when"), unknown("score", score, sorted(keys))
        if stage.model in about_minors and not _gives_cause(stage):
            yield (
                ("cascade", place),
                f"{stage.model} estimates age, and looks only where an earlier stage gave cause: "
                "expected `when` over another model's score or a match",
            )


def _gives_cause(stage: Stage) -> bool:
    return stage.condition is not None and (bool(stage.condition.scores) or stage.condition.uses_matches)


def _clearing(policy: Policy, models: Sequence[Manifest]) -> Iterator[Problem]:
    minors = frozenset(key for model in models for key in _keys_about_minors(model))
    conditions: dict[Location, Condition] = {
        ("rules", place, "when"): rule.condition for place, rule in enumerate(policy.rules)
    }
    for place, stage in enumerate(policy.cascade or ()):
        if stage.condition is not None:
            conditions["cascade", place, "when"] = stage.condition
    for where, condition in conditions.items():
        if _clears(condition, minors):
            yield where, "a score about minors may raise and never clear: this fails where it is higher"


def _clears(condition: Condition, minors: frozenset[str]) -> bool:
    """Whether a higher score about minors makes the condition fail, on any of the samples that it is tried on."""
    if not _asked(condition) & minors:
        return False
    matches = tuple(ListMatch(list=name, entry="1", distance=0) for name in sorted(condition.lists) or ["list"])
    for found, other, risk in itertools.product(((), matches), _LEVELS, (0.0, 1.0)):
        stream = StreamFacts(stream_id="stream", risk_prior=risk)
        held = False
        for level in _LEVELS:
            of = {score: level if score in minors else other for score in condition.scores}
            sample = SampleFacts(
                capture_ms=0, pts_seconds=0.0, reason="keyframe", pdq_quality=100, matches=found, scores=of
            )
            behind = {
                call.variable: _answer(call, level if call.name in minors else other) for call in condition.windows
            }
            try:
                holds = Context(stream, sample, Surroundings(answers=behind)).holds(condition)
            except ConditionError:
                continue
            if held and not holds:
                return True
            held = held or holds
    return False


def _answer(call: WindowCall, level: float) -> int | float:
    """Of a window whose score is at `level`, 0 to 1: every answer rises with it."""
    return round(_MANY * level) if call.function in ("count", "matched", "samples") else level


def _asked(condition: Condition | None) -> frozenset[str]:
    """Scores that a condition names, in windows too."""
    if condition is None:
        return frozenset()
    return condition.scores | {call.name for call in condition.windows if call.function in ("count", "fraction", "max")}


def _keys_about_minors(model: Manifest) -> tuple[str, ...]:
    return tuple(model.key(label) for label in model.labels if label.category is Category.MINOR)
