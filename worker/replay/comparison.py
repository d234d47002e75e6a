"""The comparison of a replay with the log, incident by incident and rule by rule."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from config.policy.policy import Policy
from worker.events.cloudevent import rfc3339
from worker.replay.history import LOOKED_BACK, LoggedIncident
from worker.replay.stream_replay import ReplayedIncident


class IncidentChange(StrEnum):
    """The change of one incident under the tried policy."""

    SAME = "same"
    """It was raised, and would be, for the same segment."""
    MOVED = "moved"
    """It would be raised on the same stream by the same rule, for another segment."""
    NEW = "new"
    """It was not raised, and would be."""
    GONE = "gone"
    """It was raised, and would not be."""
    SHADOW = "shadow"
    """It would be raised if its rule were live."""
    GIVEN = "given"
    """Its cause is not in the log: a look-back, a flood, a coverage gap, or lost pictures. It is kept as it was."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """An incident of the log, of the replay, or both."""

    change: IncidentChange
    stream_id: str
    rule: str
    was: LoggedIncident | None = None
    would: ReplayedIncident | None = None

    def to_record(self) -> dict[str, Any]:
        """As `livewarden policy replay --json` prints it."""
        return {
            "type": "incident",
            "change": str(self.change),
            "stream_id": self.stream_id,
            "rule": self.rule,
            "was": None if self.was is None else _was_record(self.was),
            "would_be": None if self.would is None else _would_record(self.would),
        }

    @property
    def captured_ms(self) -> int:
        """Capture time of the picture that caused it; the earlier of both."""
        return min(one.captured_ms for one in (self.was, self.would) if one is not None)


def _was_record(was: LoggedIncident) -> dict[str, Any]:
    return {
        "incident_id": was.incident_id,
        "generation": was.generation,
        "severity": str(was.severity),
        "severity_last": str(was.worst),
        "purpose": was.purpose,
        "segment": was.segment_key,
        "captured": rfc3339(was.captured_ms),
        "raised": rfc3339(was.raised_ms),
        "policy_version": was.policy_version,
        "outcome": was.outcome,
    }


def _would_record(would: ReplayedIncident) -> dict[str, Any]:
    incident = would.incident
    return {
        "incident_id": incident.incident_id,
        "generation": incident.generation,
        "severity": str(would.severity),
        "severity_last": str(incident.finding.severity),
        "purpose": incident.purpose,
        "segment": would.segment_key,
        "captured": rfc3339(would.captured_ms),
        "raised": rfc3339(incident.raised_ms),
        "hits": incident.finding.hits,
    }


@dataclass(kw_only=True)
class RuleTally:
    """One rule in numbers."""

    rule: str
    mode: str
    """live or shadow; "" if only the policy of that time had the rule."""
    changes: Counter[IncidentChange] = field(default_factory=Counter)
    hits: int = 0
    """Pictures for which it holds."""
    failed: int = 0
    """Pictures on which it could not be evaluated: it raises nothing for them."""
    slow: int = 0
    """Pictures on which it took too long (`rule-slow`), of those that were evaluated one by one."""
    streams_was: set[str] = field(default_factory=set)
    streams_would: set[str] = field(default_factory=set)

    @property
    def was(self) -> int:
        """Incidents that were raised."""
        return self.changes.total() - self.changes[IncidentChange.NEW] - self.changes[IncidentChange.SHADOW]

    @property
    def would_be(self) -> int:
        """Incidents that would be raised; for a shadow rule, if it were live."""
        return self.changes.total() - self.changes[IncidentChange.GONE]

    def to_record(self) -> dict[str, Any]:
        """As `livewarden policy replay --json` prints it."""
        return {
            "type": "rule",
            "rule": self.rule,
            "mode": self.mode,
            "was": self.was,
            "would_be": self.would_be,
            **{str(change): self.changes[change] for change in IncidentChange},
            "streams_was": len(self.streams_was),
            "streams_would_be": len(self.streams_would),
            "hits": self.hits,
            "failed": self.failed,
            "slow": self.slow,
        }


def is_given(segment_key: str, segments: Set[str]) -> bool:
    """Returns whether the cause of an event lies outside the log, which holds `segments`."""
    return LOOKED_BACK in segment_key or segment_key not in segments


def compare(
    stream_id: str,
    was: Sequence[LoggedIncident],
    would: Iterable[ReplayedIncident],
    policy: Policy,
    *,
    segments: Set[str],
) -> list[Compared]:
    """Matches the incidents of one stream in the log with those of the replay."""
    live = {rule.name for rule in policy.rules if rule.mode == "live"}
    given = [one for one in was if one.builtin or (one.rule in live and is_given(one.segment_key, segments))]
    raised = {one.incident_id: one for one in was if one not in given}
    found = [Compared(change=IncidentChange.GIVEN, stream_id=stream_id, rule=one.rule, was=one) for one in given]
    left: dict[str, list[ReplayedIncident]] = {}
    for one in would:
        rule = one.incident.rule
        if policy.rule(rule).mode == "shadow":
            found.append(Compared(change=IncidentChange.SHADOW, stream_id=stream_id, rule=rule, would=one))
        elif one.incident.incident_id in raised:
            same = raised.pop(one.incident.incident_id)
            found.append(Compared(change=IncidentChange.SAME, stream_id=stream_id, rule=rule, was=same, would=one))
        else:
            left.setdefault(rule, []).append(one)
    for before in sorted(raised.values(), key=lambda incident: incident.raised_ms):
        others = left.get(before.rule)
        change, instead = (IncidentChange.MOVED, others.pop(0)) if others else (IncidentChange.GONE, None)
        found.append(Compared(change=change, stream_id=stream_id, rule=before.rule, was=before, would=instead))
    found += [
        Compared(change=IncidentChange.NEW, stream_id=stream_id, rule=rule, would=one)
        for rule, others in left.items()
        for one in others
    ]
    return sorted(found, key=lambda one: (one.captured_ms, one.rule))


def tally(
    policy: Policy, compared: Sequence[Compared], hits: Mapping[str, int], problems: Mapping[str, int]
) -> list[RuleTally]:
    """One tally for each rule: first those of the policy, in its order, then those of the log alone.

    Args:
        hits: pictures by rule.
        problems: pictures by slug, as in `degraded`.
    """
    rules = {
        rule.name: RuleTally(
            rule=rule.name,
            mode=rule.mode,
            hits=hits.get(rule.name, 0),
            failed=problems.get(f"rule-failed:{rule.name}", 0),
            slow=problems.get(f"rule-slow:{rule.name}", 0),
        )
        for rule in policy.rules
    }
    for one in compared:
        counted = rules.setdefault(one.rule, RuleTally(rule=one.rule, mode=""))
        counted.changes[one.change] += 1
        if one.was is not None:
            counted.streams_was.add(one.stream_id)
        if one.would is not None:
            counted.streams_would.add(one.stream_id)
    return list(rules.values())
