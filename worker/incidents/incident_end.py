"""The end of incidents: by a decision, by the end of their stream, and by silence. Pure.

An incident that ends without a decision takes no further hits and stays in the queue for a person; further hits are a
new incident, which names it as its predecessor. No incident ends while a segment waits whose hits may belong to it: so
the order in which segments end changes nothing, and a late one may raise an incident, and never withdraws one.
"""

from dataclasses import dataclass, replace
from typing import Final

from worker.incidents.findings import Extent, Incident, IncidentEnd
from worker.incidents.rule_state import MAX_EARLIER, MAX_RECENT, LastDecision, RuleState

LONGEST_CHECK_MS: Final = 600_000
"""Open incidents are checked at least so often, if nothing says that their stream has ended: by a script of an older
version, or where a late segment raised one."""

PENDING_CHECK_MS: Final = 5_000
"""The time to the next check where segments are still to be moderated."""


@dataclass(frozen=True, kw_only=True)
class PurposeWatch:
    """The watch of a stream for one purpose."""

    goes_on: bool
    """The stream is watched for this purpose, or may come back: its playlist is still polled."""
    waiting_since_ms: int | None = None
    """Time when the first of its pending segments was listed, by Redis's clock. None: nothing is pending."""


def due_end(incident: Incident, watch: PurposeWatch, *, now_ms: int) -> IncidentEnd | None:
    """Returns why an open incident ends now; None: it goes on.

    A stream ends once it is not watched any more and all of its segments are moderated. An incident is silent if no hit
    was found until `silence_ms` after its last one, and each segment that was listed until then is moderated. Found,
    not captured: capture times follow from what the broadcaster claims.
    """
    if not watch.goes_on and watch.waiting_since_ms is None:
        return IncidentEnd.STREAM_ENDED
    silent_ms = _silent_ms(incident)
    if silent_ms is None or now_ms < silent_ms:
        return None
    waits = watch.waiting_since_ms is not None and watch.waiting_since_ms < silent_ms
    return None if waits else IncidentEnd.SILENCE


def next_check_ms(incident: Incident, watch: PurposeWatch, *, now_ms: int) -> int:
    """Redis's clock when an incident that goes on may have ended."""
    silent_ms = _silent_ms(incident)
    if not watch.goes_on or (silent_ms is not None and silent_ms <= now_ms):
        return now_ms + PENDING_CHECK_MS
    return now_ms + LONGEST_CHECK_MS if silent_ms is None else min(silent_ms, now_ms + LONGEST_CHECK_MS)


def _silent_ms(incident: Incident) -> int | None:
    """Redis's clock when an incident is silent; None: never, or an older version raised it."""
    return incident.hit_ms + incident.silence_ms if incident.hit_ms and incident.silence_ms else None


def first_check_ms(incident: Incident) -> int:
    """Redis's clock when an incident that was just written may have ended."""
    return next_check_ms(incident, PurposeWatch(goes_on=True), now_ms=incident.hit_ms or incident.published_ms)


def end(state: RuleState, reason: IncidentEnd) -> tuple[RuleState, Incident]:
    """Ends the rule's open incident without a decision; returns the new state, and the incident as it stays."""
    assert state.incident is not None
    ended = replace(state.incident, ended=str(reason))
    return replace(state, incident=None, last_closed=ended.incident_id), ended


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
