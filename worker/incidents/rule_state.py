"""The state of each rule on a stream, as Redis keeps it.

One incident is open per (stream, purpose, rule).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from config.facts import ListedHash, ListMatch, Severity
from worker.errors import StoreError
from worker.incidents.cases import StreamCase, case_for
from worker.incidents.findings import Extent, Finding, Incident, NearestMatch
from worker.incidents.segment_context import SegmentContext

MAX_EARLIER = 50
"""Decisions, one within the silence of the other, whose streams a group remembers: one each 6 s of its cooldown."""

MAX_RECENT = 5
"""Decided incidents of a rule that a stream remembers, for the person who decides next, who reads no more."""


@dataclass(frozen=True, kw_only=True)
class LastDecision:
    """The last decision on a rule's incident."""

    quiet_until_ms: int
    """Pictures captured before (<) this belong to the decided incident, unless they are worse."""
    severity: Severity
    incident_id: str = ""
    """The decided one."""
    nearest: tuple[NearestMatch, ...] | None = None
    """The matches that were decided on, also by decisions within whose silence the incident was raised. None: version
    0.1.0 decided."""
    earlier: tuple[str, ...] = ()
    """The latest `MAX_EARLIER` of the incidents so decided, the last first."""
    recent: tuple[str, ...] = ()
    """The latest `MAX_RECENT` of all decided incidents, however long ago, the last first."""
    ended: bool = False
    """A person has changed the decision: no later one may rest on it."""

    @property
    def incidents(self) -> tuple[str, ...]:
        """All decided incidents, the last first."""
        return (self.incident_id, *self.earlier)

    @property
    def extent(self) -> Extent:
        """The extent that was decided on."""
        return Extent(severity=self.severity, nearest=self.nearest)

    def covers(self, capture_ms: int, severity: Severity, matches: Iterable[ListMatch]) -> bool:
        """Returns whether a person has, in effect, decided on a hit already."""
        return capture_ms < self.quiet_until_ms and not self.extent.surpassed_by(severity, matches)


@dataclass(frozen=True, kw_only=True)
class RuleState:
    """The state of one rule on one stream."""

    waiting: tuple[Finding, ...] = ()
    """Hits that do not yet persist, one a capture instant, in that order. At most those that persistence remembers."""
    incident: Incident | None = None
    """The open one."""
    decided: LastDecision | None = None
    shadow_hits: int = 0
    """Hits of the rule in shadow mode, which calls no person."""
    muted_hits: int = 0
    """Hits that rested on hashes in quarantine or in a flood alone."""
    hashes: tuple[ListedHash, ...] = ()
    """The hashes that made a group of streams."""
    last_closed: str = ""
    """Id of the incident that was the open one before: decided or ended. Empty: none was, or an older version closed
    it."""

    @property
    def predecessor(self) -> str:
        """Id of the incident that the next one names as its predecessor; empty: there is none."""
        return self.last_closed or ("" if self.decided is None else self.decided.incident_id)


_STATE = TypeAdapter(RuleState)


@dataclass(frozen=True, kw_only=True)
class StreamIncidents:
    """The states of all rules on one stream that is watched for one purpose."""

    version: int = 0
    """Counts changes in Redis; a decision on this state is written only if it still holds there."""
    rules: Mapping[str, RuleState] = field(default_factory=dict)
    case: StreamCase | None = None
    """The newest case; None: there is none yet."""

    def case_for(self, context: SegmentContext, *, now_ms: int) -> StreamCase:
        """The case of the incidents that this context raises."""
        opened = (state.incident for state in self.rules.values() if state.incident is not None)
        return case_for(self.case, opened, context, now_ms=now_ms)


def encode(state: RuleState) -> str:
    """Returns the state as Redis keeps it."""
    return _STATE.dump_json(state).decode()


def decode(text: str) -> RuleState:
    """Reads what `encode` returned.

    Raises:
        StoreError: it is something else.
    """
    try:
        return _STATE.validate_json(text)
    except ValidationError as error:
        raise StoreError(f"incident state in Redis: {text[:100]!r}: expected what livewarden writes") from error
