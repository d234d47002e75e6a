"""The events of decisions: a person has decided an incident, or has changed a decision."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from worker.events.cloudevent import derived_id, rfc3339
from worker.incidents.event_data import decision_data
from worker.incidents.events import Event, EventType, NamedStreams, checked_event, identity
from worker.incidents.findings import Incident
from worker.incidents.keys import DECISIONS

_OF_THE_DECISION: Final = ("category", "actions", "judgements")
"""Fields of a decision that a revision does not take over."""


def decision_made(
    incident: Incident,
    *,
    newest: Mapping[str, Any],
    stream_id: str,
    deployment: str,
    outcome: str,
    by: str,
    note: str,
    now_ms: int,
    named: NamedStreams | None = None,
    taken_ms: int | None = None,
    verified: bool = False,
    category: str | None = None,
    actions: Sequence[str] = (),
    judgements: Sequence[Mapping[str, Any]] = (),
) -> Event:
    """A person has decided the incident; of a group, for all its streams.

    Args:
        newest: the incident's newest escalation event.
        verified: the person proved to be `by`, by a token.
        taken_ms: when that person took it; None: unknown.
        category: of what the person saw.
        actions: what the person asks of the platform.
        judgements: those of two persons who judged blind, the first one first.
    """
    kind = EventType.DECISION_MADE
    data = identity(stream_id, incident) | {
        "outcome": outcome,
        "previous_outcome": None,
        "decided_by": by,
        "verified": verified,
        "note": note,
        **_said(category, actions),
        **({"judgements": list(judgements)} if judgements else {}),
        **decision_data(newest, incident),
        "times": {
            "captured_first": rfc3339(incident.finding.captured_first_ms),
            "captured_last": rfc3339(incident.finding.captured_last_ms),
            "raised": rfc3339(incident.raised_ms),
            **({} if taken_ms is None else {"taken": rfc3339(taken_ms)}),
            "decided": rfc3339(now_ms),
        },
    }
    if named is not None:
        data |= named.to_data()
    return checked_event(kind, DECISIONS, derived_id(kind, incident.incident_id), deployment, data, now_ms)


def decision_revised(
    before: Mapping[str, Any],
    *,
    revision: int,
    outcome: str,
    by: str,
    note: str,
    deployment: str,
    now_ms: int,
    verified: bool = False,
    category: str | None = None,
    actions: Sequence[str] = (),
) -> Event:
    """A person has changed a decision.

    Args:
        before: `data` of the event of the decision that is changed; its fields about the incident still hold.
        revision: counts from 1.
        verified: the person proved to be `by`, by a token.
        category: of what the person saw.
        actions: what the person asks of the platform.
    """
    kind = EventType.DECISION_REVISED
    times = before["times"]
    previous = {"decided_by": before["decided_by"], "note": before["note"], "decided": times["decided"]}
    if "verified" in before:
        previous["verified"] = before["verified"]
    # What the decision before was, and who judged it, is in `previous`: this one is of one person.
    previous |= {name: before[name] for name in _OF_THE_DECISION if name in before}
    kept = {name: value for name, value in before.items() if name not in _OF_THE_DECISION}
    data = kept | {
        "outcome": outcome,
        "previous_outcome": before["outcome"],
        "decided_by": by,
        "verified": verified,
        "note": note,
        **_said(category, actions),
        "revision": revision,
        "previous": previous,
        "times": times | {"decided": rfc3339(now_ms), "first_decided": times.get("first_decided", times["decided"])},
    }
    event_id = derived_id(kind, data["incident_id"], revision)
    return checked_event(kind, DECISIONS, event_id, deployment, data, now_ms)


def _said(category: str | None, actions: Sequence[str]) -> dict[str, Any]:
    return {**({} if category is None else {"category": category}), **({"actions": list(actions)} if actions else {})}
