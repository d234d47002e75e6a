"""Contradictions between parts of a policy, found in the file as it is written: so they are reported together with
mistakes in single parts, and not only once all of these are right."""

from collections.abc import Iterator, Mapping
from typing import Any

from config.documents.mistakes import Problem
from config.documents.names import unknown
from config.facts import COVERAGE_GAP_RULE, FLOOD_RULE, IMMINENT_DANGER_RULE
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.trial import compile_condition
from config.profiles import PROFILES

_SECTIONS = {FLOOD_RULE: "flood", COVERAGE_GAP_RULE: "coverage_gap"}
"""Sections of a policy, by the rule under which their incidents are raised."""


def contradictions(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Contradictions in a policy's file, whatever is in it; a part that is wrong alone is skipped."""
    yield from _profiles(document)
    yield from _rule_names(document)
    yield from _cascade(document)


def _profiles(document: Mapping[str, Any]) -> Iterator[Problem]:
    own = document.get("profiles", {})
    if not isinstance(own, dict):
        return
    known = {*PROFILES, *(name for name in own if isinstance(name, str))}
    choices = enumerate(_entries(document, "sampling_for"))
    named = [(("sampling_for", place, "profile"), choice.get("profile")) for place, choice in choices]
    for where, name in [(("sampling",), document.get("sampling")), *named]:
        if isinstance(name, str) and name not in known:
            yield Problem(where, unknown("profile", name, known), 0)


def _rule_names(document: Mapping[str, Any]) -> Iterator[Problem]:
    first_at: dict[str, int] = {}
    for place, rule in enumerate(_entries(document, "rules")):
        name = rule.get("name")
        if not isinstance(name, str):
            continue
        where = ("rules", place, "name")
        if name in _SECTIONS:
            yield Problem(where, f"livewarden names incidents of `{_SECTIONS[name]}` so: expected another name", 0)
        elif name == IMMINENT_DANGER_RULE:
            yield Problem(where, f"livewarden names incidents of the signal `{name}` so: expected another name", 0)
        elif first_at.setdefault(name, place) != place:
            yield Problem(where, f"a name may be given to one rule only: rules[{first_at[name]}] has it", 0)


def _cascade(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Checks that a stage uses only scores of the stages before it."""
    if document.get("cascade") == []:
        text = "expected at least one model; leave the section out and all models classify all pictures"
        yield Problem(("cascade",), text)
    before: list[str] = []
    for place, stage in enumerate(_entries(document, "cascade")):
        model, when = stage.get("model"), stage.get("when")
        if model in before:
            text = f"{model!r}: a model may stand in one stage only"
            yield Problem(("cascade", place, "model"), text, 0)
        for score, offset in _scores(when):
            if score.partition("/")[0] not in before:
                known = f"only {', '.join(before)}" if before else "no model"
                text = f"no stage before gives the score {score!r}: {known} stands before {model!r}"
                yield Problem(("cascade", place, "when"), text, offset)
        if not isinstance(model, str):
            return  # the stages after it may well use its scores
        if model not in before:
            before.append(model)


def _scores(condition: object) -> list[tuple[str, int]]:
    """Scores that a condition uses, and their places in it; none if it is not usable."""
    if not isinstance(condition, str):
        return []
    try:
        return [(score, condition.find(score)) for score in sorted(compile_condition(condition).scores)]
    except ConditionError:
        return []


def _entries(document: Mapping[str, Any], section: str) -> list[Mapping[str, Any]]:
    """Entries of a list of mappings; another value counts as an empty one, so that the others keep their places."""
    entries = document.get(section)
    return [entry if isinstance(entry, dict) else {} for entry in entries] if isinstance(entries, list) else []
