"""Output of a policy's check and test cases, for people and for programs."""

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from config.counts import counted
from config.policy.persistence import Persistence
from config.policy.policy import Policy
from worker.policytests.case_format import Raise
from worker.policytests.cases import CaseOutcome, RaisedIncident
from worker.tables.lines import blocks
from worker.tables.listing import Listing, fixed, ids, numbers, texts


def describe(policy: Policy, name: str) -> RenderableType:
    """A table of what each rule of a policy without mistakes does."""
    table = Listing(
        ids("rule"),
        fixed("severity"),
        fixed("mode"),
        texts("persists with"),
        numbers("cooldown"),
        fixed("action"),
        title=f"{name}, version {policy.version}",
        left_out_first=("cooldown", "persists with"),
    )
    for rule in policy.rules:
        table.add(
            rule.name,
            str(rule.severity),
            rule.mode,
            persistence_text(rule.persistence),
            f"{rule.cooldown_seconds:g} s",
            rule.action,
        )
    return blocks(table, Text(f"No mistakes in {counted(len(policy.rules), 'rule')}.", style="green"))


def persistence_text(persistence: Persistence) -> str:
    """Persistence in a few words."""
    if persistence.of_samples is not None:
        return f"{persistence.hits} of {counted(persistence.of_samples, 'picture')}"
    if persistence.video_frames is not None:
        return f"{counted(persistence.video_frames, 'frame')} of one video in {persistence.within_seconds:g} s"
    return "one picture" if persistence.hits == 1 else f"{persistence.hits} in {persistence.within_seconds:g} s"


def case_lines(outcome: CaseOutcome, name: str) -> Iterator[str]:
    """A case as lines: one if it passes, else also the missing (-) and the unexpected (+) incidents."""
    if outcome.passed:
        yield f"ok    {outcome.case.name}"
        return
    yield f"FAIL  {outcome.case.name}  ({name}:{outcome.line})"
    for met in outcome.met:
        yield f"        {met}"
    for missing in outcome.missing:
        yield f"      - {missing}"
    for unexpected in outcome.unexpected:
        yield f"      + {unexpected}"
    for slug in outcome.degraded_missing:
        yield f"      - {slug}"
    for slug in outcome.degraded_unexpected:
        yield f"      + {slug}  on {counted(outcome.degraded[slug], 'picture')}"
    if not (outcome.met or outcome.unexpected):
        yield "      nothing was raised"


def case_record(outcome: CaseOutcome, name: str, policy_version: str) -> dict[str, Any]:
    """A case as `livewarden policy test --json` prints it."""
    return {
        "type": "case",
        "file": name,
        "line": outcome.line,
        "name": outcome.case.name,
        "policy_version": policy_version,
        "passed": outcome.passed,
        "met": [_raised_record(one) for one in outcome.met],
        "missing": [_wanted_record(one) for one in outcome.missing],
        "unexpected": [_raised_record(one) for one in outcome.unexpected],
        "degraded": dict(outcome.degraded),
        "degraded_missing": list(outcome.degraded_missing),
        "degraded_unexpected": list(outcome.degraded_unexpected),
    }


def _raised_record(found: RaisedIncident) -> dict[str, Any]:
    return {"rule": found.rule, "severity": str(found.severity), "at": found.at, "mode": found.mode}


def _wanted_record(wanted: Raise) -> dict[str, Any]:
    severity = None if wanted.severity is None else str(wanted.severity)
    return {"rule": wanted.rule, "severity": severity, "at": wanted.at, "mode": wanted.mode}
