"""What a policy may ask of which model: checked before a policy is in force, since only here both are known."""

import itertools
import re
from collections.abc import Iterator, Sequence

from config.cascade import Stage
from config.errors import PolicyError
from config.expressions import Condition, Context
from config.facts import ListMatch, SampleFacts, StreamFacts
from config.names import ConditionError
from config.policy import Policy
from models.manifest import Category, Manifest, Use

_ALL_SCORES = re.compile(r"\bscores\b(?!\s*\[)")
"""`scores` taken as a whole, so that no name tells which of them a rule looks at."""

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')

_LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Scores on which conditions about minors are tried."""


def check_models(policy: Policy, models: Sequence[Manifest]) -> None:
    """Checks rules and cascade against the models that run.

    Raises:
        PolicyError: naming the rule or stage: a live rule asks for scores that are for shadow rules only; the cascade
            asks for a label that no model has, or lets a model about minors look without cause; or a condition holds
            for a low score about minors and not for a high one, which would clear somebody.
    """
    problems = [*_shadow_only(policy, models), *_cascade(policy, models), *_clearing(policy, models)]
    if problems:
        raise PolicyError("; ".join(problems))


def _shadow_only(policy: Policy, models: Sequence[Manifest]) -> Iterator[str]:
    shadow = {model.key(label) for model in models if model.use is Use.SHADOW for label in model.labels}
    if not shadow:
        return
    for rule in policy.rules:
        if rule.mode != "live":
            continue
        asked = sorted(_asked(rule.condition) & shadow)
        if asked:
            yield f"rules: {rule.name}: {asked[0]} is for rules with `mode: shadow` only, says its manifest"
        elif _ALL_SCORES.search(_TEXT.sub("", rule.when)):
            yield (
                f"rules: {rule.name}: `scores` as a whole holds {min(shadow)}, which is for rules with `mode: shadow` "
                'only: name scores, as in score("MODEL/LABEL")'
            )


def _cascade(policy: Policy, models: Sequence[Manifest]) -> Iterator[str]:
    keys = {model.key(label) for model in models for label in model.labels}
    about_minors = {model.name for model in models if _keys_about_minors(model)}
    for stage in policy.cascade or ():
        unknown = sorted(_asked(stage.condition) - keys)
        if unknown:
            yield f"cascade: {stage.model}: no score {unknown[0]!r}: known are {', '.join(sorted(keys))}"
        if stage.model in about_minors and not _gives_cause(stage):
            yield (
                f"cascade: {stage.model}: estimates age, and looks only where an earlier stage gave cause: "
                "expected `when` over another model's score or a match"
            )


def _gives_cause(stage: Stage) -> bool:
    return stage.condition is not None and (bool(stage.condition.scores) or stage.condition.uses_matches)


def _clearing(policy: Policy, models: Sequence[Manifest]) -> Iterator[str]:
    minors = frozenset(key for model in models for key in _keys_about_minors(model))
    conditions = {f"rules: {rule.name}": rule.condition for rule in policy.rules}
    conditions |= {f"cascade: {stage.model}": stage.condition for stage in policy.cascade or () if stage.condition}
    for where, condition in conditions.items():
        if _clears(condition, minors):
            yield f"{where}: a score about minors may raise and never clear: `when` fails where it is higher"


def _clears(condition: Condition, minors: frozenset[str]) -> bool:
    """Whether a higher score about minors makes the condition fail, on any of the samples that it is tried on."""
    mine = sorted(condition.scores & minors)
    others = sorted(condition.scores - minors)
    matches = (ListMatch(list=name, entry="1", distance=0) for name in sorted(condition.lists) or ["list"])
    if not mine:
        return False
    for found, other, risk in itertools.product(((), tuple(matches)), _LEVELS, (0.0, 1.0)):
        held = False
        for level in _LEVELS:
            sample = SampleFacts(
                capture_ms=0,
                pts_seconds=0.0,
                reason="keyframe",
                pdq_quality=100,
                matches=found,
                scores={**dict.fromkeys(others, other), **dict.fromkeys(mine, level)},
            )
            try:
                holds = Context(StreamFacts(stream_id="stream", risk_prior=risk), sample).holds(condition)
            except ConditionError:
                continue
            if held and not holds:
                return True
            held = held or holds
    return False


def _asked(condition: Condition | None) -> frozenset[str]:
    """Scores that a condition names, in windows too."""
    if condition is None:
        return frozenset()
    return condition.scores | {call.name for call in condition.windows if call.function != "matched"}


def _keys_about_minors(model: Manifest) -> tuple[str, ...]:
    return tuple(model.key(label) for label in model.labels if label.category is Category.MINOR)
