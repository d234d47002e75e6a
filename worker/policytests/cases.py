"""Runs test cases of a policy: compares the raised incidents with the expected ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import config
from config.documents.names import unknown
from config.errors import PolicyError
from config.facts import Coverage, ListMatch, SampleFacts, SegmentFacts, Severity, StreamFacts
from config.policy.policy import Policy
from worker.policytests.case_format import Case, CaseSample, Raise, mode_suffix
from worker.replay.stream_replay import SettledSegment, StreamReplay, with_all_rules_live

SHIPPED_CASES = Path(config.__file__).parent / "policy-tests.yaml"
"""Cases of the policy that ships with livewarden, which they name."""

BEGIN_MS = 1_700_000_000_000
"""Beginning of all made-up streams."""


@dataclass(frozen=True, kw_only=True)
class RaisedIncident:
    """An incident that a policy raises on a case."""

    rule: str
    severity: Severity
    at: float
    mode: str

    def __str__(self) -> str:
        return f"{self.rule}  {self.severity}  at {self.at:g} s{mode_suffix(self.mode)}"


@dataclass(frozen=True, kw_only=True)
class CaseOutcome:
    """The result of a case."""

    case: Case
    line: int | None
    """Its line in the file."""
    met: tuple[RaisedIncident, ...]
    missing: tuple[Raise, ...]
    unexpected: tuple[RaisedIncident, ...]
    degraded: Mapping[str, int]
    """Number of pictures by slug, as in `degraded` of events."""

    @property
    def degraded_missing(self) -> tuple[str, ...]:
        """Expected slugs that did not occur, but for `rule-slow`, which depends on the machine."""
        return tuple(
            slug for slug in self.case.degraded if slug not in self.degraded and not slug.startswith("rule-slow:")
        )

    @property
    def degraded_unexpected(self) -> tuple[str, ...]:
        """Slugs that were not expected: the result of such a rule is no answer."""
        return tuple(slug for slug in sorted(self.degraded) if slug not in self.case.degraded)

    @property
    def passed(self) -> bool:
        return not (self.missing or self.unexpected or self.degraded_missing or self.degraded_unexpected)


def run_case(policy: Policy, case: Case, *, line: int | None = None) -> CaseOutcome:
    """Runs a case with a policy.

    Raises:
        PolicyError: the case names a rule that the policy does not have.
    """
    modes = {rule.name: str(rule.mode) for rule in policy.rules}
    failing = [slug.partition(":")[2] for slug in case.degraded if ":" in slug]
    for name in (*(one.rule for one in case.raises), *(one.rule for one in case.decisions), *failing):
        if name not in modes:
            raise PolicyError(f"case {case.name!r}: {unknown('rule', name, modes)}")
    replay = _replayed(policy, case)
    found = _raised(replay, modes)
    missing: list[Raise] = []
    met: list[RaisedIncident] = []
    # The most specific first, so that one that fits any incident does not take the only one that fits another.
    for wanted in sorted(case.raises, key=lambda one: (one.at is None) + (one.severity is None)):
        match = next((one for one in found if _fits(wanted, one)), None)
        if match is None:
            missing.append(wanted)
        else:
            found.remove(match)
            met.append(match)
    met.sort(key=lambda one: (one.at, one.rule))
    return CaseOutcome(
        case=case,
        line=line,
        met=tuple(met),
        missing=tuple(missing),
        unexpected=tuple(found),
        degraded=dict(replay.problems),
    )


def _fits(wanted: Raise, found: RaisedIncident) -> bool:
    return (
        (wanted.rule, wanted.mode) == (found.rule, found.mode)
        and wanted.severity in (None, found.severity)
        and (wanted.at is None or abs(wanted.at - found.at) < 1e-3)
    )


def _replayed(policy: Policy, case: Case) -> StreamReplay:
    replay = StreamReplay(with_all_rules_live(policy), case.stream.id)
    decisions = sorted(case.decisions, key=lambda decision: decision.at)
    for segment in _segments(case):
        while decisions and BEGIN_MS + round(decisions[0].at * 1000) < segment.settled_ms:
            decision = decisions.pop(0)
            replay.decide(decision.rule, BEGIN_MS + round(decision.at * 1000), purpose=case.stream.purpose)
        replay.fall_silent(segment.settled_ms, purpose=case.stream.purpose)
        replay.settle(segment)
    return replay


def _raised(replay: StreamReplay, modes: dict[str, str]) -> list[RaisedIncident]:
    return sorted(
        (
            RaisedIncident(
                rule=one.incident.rule,
                severity=one.severity,
                at=(one.captured_ms - BEGIN_MS) / 1000,
                mode=modes[one.incident.rule],
            )
            for one in replay.raised.values()
        ),
        key=lambda one: (one.at, one.rule),
    )


def _segments(case: Case) -> list[SettledSegment]:
    stream = StreamFacts(
        stream_id=case.stream.id,
        purpose=case.stream.purpose,
        audience=case.stream.audience,
        risk_prior=case.stream.risk_prior,
        risk=case.stream.risk_prior if case.stream.risk is None else case.stream.risk,
        metadata=case.stream.metadata,
        signals=case.stream.signals,
    )
    taken = sorted(
        (
            (BEGIN_MS + round(1000 * (sample.at + number * sample.every)), sample)
            for sample in case.samples
            for number in range(sample.repeat)
        ),
        key=lambda one: one[0],
    )
    return [
        SettledSegment(
            facts=SegmentFacts(
                key=f"{number}",
                capture_ms=capture_ms,
                stream=stream,
                samples=(_facts(sample, capture_ms),),
                coverage=Coverage(**sample.coverage.model_dump()),
            ),
            generation=1,
            epoch=0,
            settled_ms=capture_ms,
        )
        for number, (capture_ms, sample) in enumerate(taken)
    ]


def _facts(sample: CaseSample, capture_ms: int) -> SampleFacts:
    return SampleFacts(
        capture_ms=capture_ms,
        pts_seconds=0.0,
        reason=sample.reason,
        pdq_quality=sample.quality,
        matches=tuple(ListMatch(**match.model_dump()) for match in sample.matches),
        scores=dict(sample.scores),
    )
