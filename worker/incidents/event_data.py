"""Parts of the `data` of events. Unknown values are left out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from config.facts import IMMINENT_DANGER_RULE, Hit, ListMatch, SegmentSource
from config.policy.cel.comparisons import stated
from config.policy.rules import CoverageGap, Flood, Rule
from worker.events.cloudevent import rfc3339
from worker.incidents.findings import Incident
from worker.incidents.segment_context import SegmentContext, Versions
from worker.ingest.pending.segments import source_of
from worker.ingest.poll.stream_gaps import Gap
from worker.ingest.registry.danger_reports import DangerReport
from worker.ingest.registry.signals import MAX_SIGNALS

MAX_THRESHOLDS: Final = 50
"""Limit for one condition, which has 4,096 characters at most; all of them are in its text."""

MAX_LIST_NOTE_CHARACTERS: Final = 200
"""Limit for a list's source, and for its category: operators write both, and each match carries them."""

MAX_TAG_CHARACTERS: Final = 1_000
"""Limit for all tags of a match. A list may bring 6,400, and an event 20 matches and more; the bank has the rest."""


@dataclass(frozen=True, kw_only=True)
class EarlierDecision:
    """A decision that a person made on a stream before."""

    incident_id: str
    rule: str
    outcome: str
    decided_ms: int
    """Redis's clock."""
    by: str

    def to_data(self) -> dict[str, Any]:
        """Returns it as events carry it."""
        return {
            "incident_id": self.incident_id,
            "rule": self.rule,
            "outcome": self.outcome,
            "decided": rfc3339(self.decided_ms),
            "decided_by": self.by,
        }


def rule_condition(rule: Rule) -> dict[str, Any]:
    """Returns what a rule of the policy requires before a person is called."""
    thresholds = [
        {"of": one.of, "name": one.name, "operator": one.operator, "value": one.value}
        for one in stated(rule.condition.tree)
    ]
    persistence = rule.persistence
    counted: dict[str, Any] = {"hits": persistence.hits}
    if persistence.video_frames is not None:
        counted = {"video_frames": persistence.video_frames}
    if persistence.of_samples is None:
        counted["within_seconds"] = persistence.within_seconds
    else:
        counted["of_samples"] = persistence.of_samples
    condition = {"when": rule.when, "thresholds": thresholds[:MAX_THRESHOLDS], "persistence": counted}
    return {"description": rule.description, **condition} if rule.description else condition


def flood_condition(flood: Flood) -> dict[str, Any]:
    """Returns the condition under which a hash floods."""
    return {"streams": flood.streams, "within_seconds": flood.within_seconds}


def gap_condition(rule: CoverageGap) -> dict[str, Any]:
    """Returns the condition under which a stream that is not seen is an incident."""
    return {"after_seconds": rule.after_seconds}


DANGER_CONDITION: Final[Mapping[str, Any]] = {
    "when": f'signal("{IMMINENT_DANGER_RULE}") > 0.0',
    "thresholds": [{"of": "signal", "name": IMMINENT_DANGER_RULE, "operator": ">", "value": 0.0}],
}
"""The condition under which a platform's report is an incident."""


def cause_data(cause: Hit | Gap | DangerReport, context: SegmentContext) -> dict[str, Any]:
    """Returns the sample with its segment, the gap, or the report that caused an event."""
    if isinstance(cause, Gap):
        return {"gap": {"since": rfc3339(cause.since_ms), "reason": cause.reason}}
    if isinstance(cause, DangerReport):
        return {"signal": {"name": IMMINENT_DANGER_RULE, "reported": rfc3339(cause.reported_ms)}, "ask": "phone"}
    sample = {
        "pts_seconds": cause.pts_seconds,
        "reason": str(cause.reason),
        "captured": rfc3339(cause.capture_ms),
        "segment": context.segment_key,
    }
    if cause.pdq:
        sample["pdq"] = cause.pdq
    source = cause.source
    if source is None:
        # Of another segment than the one that ended, version 0.1.0 kept no more than the key.
        source = source_of(cause.segment, "") if cause.segment else context.source
    return {"sample": sample} if source is None else {"sample": sample, "segment": _segment(source)}


def cause_times(context: SegmentContext) -> dict[str, str]:
    """Returns when the segment of the cause was listed and sampled, as far as that is known."""
    if context.sampled_ms is None:
        return {}
    known = {"listed": context.listed_ms, "sampled": context.sampled_ms}
    return {name: rfc3339(at_ms) for name, at_ms in known.items() if at_ms is not None}


def case_data(incident: Incident) -> dict[str, Any]:
    """Returns the relation of an incident to others, and the role of the person who decides if it is no moderator."""
    known = {"case_id": incident.case_id, "predecessor": incident.predecessor}
    data = {name: value for name, value in known.items() if value}
    return data if incident.needs_role == "moderator" else data | {"needs_role": incident.needs_role}


def _segment(source: SegmentSource) -> dict[str, Any]:
    known = {"uri": source.uri, "rendition": source.rendition}
    return {"media_sequence": source.media_sequence} | {name: value for name, value in known.items() if value}


def stream_data(context: SegmentContext) -> dict[str, Any]:
    """Returns what is known of the stream itself."""
    stream = context.stream
    # A record with more signals than a stream may have is damaged, and must not keep findings from being published.
    signals = dict(islice(stream.signals.items(), MAX_SIGNALS))
    risk = {"risk": round(stream.risk, 4), "risk_prior": stream.risk_prior}
    data = {**risk, "signals": signals, "metadata": dict(stream.metadata)}
    return data | {"stream_state": stream.state} if stream.state else data


def no_evidence(why: str) -> dict[str, Any]:
    """Returns the part of an event of which there can be no picture: `flood`, `coverage`, `signal` or another slug."""
    return {"evidence": [], "evidence_none": why}


OF_ONE_STREAM: Final = ("segment", "risk", "risk_prior", "signals", "stream_state", "earlier_decisions")
"""Fields of an event that are about its stream alone."""


def matches_data(incident: Incident) -> list[dict[str, Any]]:
    """Returns the matches of an incident."""
    return [_match(match) for match in incident.finding.matches]


def _match(match: ListMatch) -> dict[str, Any]:
    known = {
        "version": match.version,
        "tags": list(_first(match.tags, MAX_TAG_CHARACTERS)),
        "source": match.source[:MAX_LIST_NOTE_CHARACTERS],
        "category": match.category[:MAX_LIST_NOTE_CHARACTERS],
        "video": match.video,
        "variant": match.variant,
        "allowed": match.allowed,
    }
    data = {"list": match.list, "entry": match.entry, "distance": match.distance}
    data |= {name: value for name, value in known.items() if value}
    numbers = {"max_distance": match.max_distance, "seconds": match.seconds}
    return data | {name: number for name, number in numbers.items() if number is not None}


def _first(tags: Iterable[str], characters: int) -> Iterator[str]:
    """Yields the first tags, of at most so many characters together."""
    for tag in tags:
        characters -= len(tag)
        if characters < 0:
            return
        yield tag


def versions_data(versions: Versions) -> dict[str, Any]:
    """Returns the versions that a finding rests on."""
    return {"policy": versions.policy, "lists": dict(versions.lists), "models": dict(versions.models)}


def decision_data(newest: Mapping[str, Any], incident: Incident) -> dict[str, Any]:
    """Returns what readers of a decision need to act on it, from the incident and its newest escalation event."""
    return {
        "principles": list(incident.finding.principles),
        "matches": matches_data(incident),
        "metadata": newest["data"].get("metadata", {}),
    }
