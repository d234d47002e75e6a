"""The end of incidents: by a decision, and the silence that it brings."""

from dataclasses import replace

from worker.incidents.findings import Extent, Incident
from worker.incidents.rule_state import MAX_EARLIER, MAX_RECENT, LastDecision, RuleState


def close(state: RuleState, *, now_ms: int, ended: Incident | None = None) -> RuleState:
    """Closes an incident of the rule, which has been decided.

    Args:
        ended: the incident, if it had ended before; the open one stays open. None: the open one.
    """
    incident = state.incident if ended is None else ended
    assert incident is not None
    extent, earlier = Extent.of(incident.finding), tuple[str, ...]()
    before = state.decided
    # The silence in which an ended one was raised may be long past: its matches are not silenced anew.
    silent_ms = incident.raised_ms if ended is None else now_ms
    if before is not None and silent_ms < before.quiet_until_ms and not before.ended:
        # Two matches that alternate would call a person without end.
        extent, earlier = extent.joined(before.extent), before.incidents[:MAX_EARLIER]
    recent = before.recent or tuple(filter(None, before.incidents)) if before is not None else ()
    decided = LastDecision(
        quiet_until_ms=now_ms + incident.cooldown_ms,
        severity=extent.severity,
        incident_id=incident.incident_id,
        nearest=extent.nearest,
        earlier=earlier,
        recent=(incident.incident_id, *recent)[:MAX_RECENT],
    )
    if ended is not None:
        return replace(state, decided=decided)
    return replace(state, incident=None, decided=decided, last_closed=incident.incident_id)


def end_silence(state: RuleState, incident_id: str, *, now_ms: int) -> RuleState:
    """Ends the silence of a decision that was wrong: nothing rests on it from now on.

    Pictures captured before (<) now stay the decided incident's; later ones raise anew, also where an incident that was
    raised within the silence is decided later. Unchanged: the silence is that of another decision.
    """
    decided = state.decided
    if decided is None or incident_id not in decided.incidents:
        return state
    return replace(state, decided=replace(decided, quiet_until_ms=min(decided.quiet_until_ms, now_ms), ended=True))
