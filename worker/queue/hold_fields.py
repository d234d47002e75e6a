"""Words of a holder on an incident, by its record: a longer lease, a hand over, a question to all."""

from collections.abc import Mapping
from dataclasses import dataclass

from worker.queue.record_fields import LONGEST_HOLD_MS, number_of


@dataclass(frozen=True, kw_only=True)
class CaseHold:
    """A lease that its holder lengthened on purpose."""

    until_ms: int
    """Redis's clock."""
    why: str

    @classmethod
    def of(cls, fields: Mapping[str, str], now: int, lease_ms: int) -> "CaseHold | None":
        """None: there is none, or it is over; `lease_ms`: the time left of the incident's lease."""
        left_ms = (number_of(fields, "hold_until_ms") or 0) - now
        if not lease_ms or not 0 < left_ms <= LONGEST_HOLD_MS:
            return None
        return cls(until_ms=now + left_ms, why=fields.get("hold_why", ""))


@dataclass(frozen=True, kw_only=True)
class HandOver:
    """An incident that its holder handed over to a colleague."""

    to: str
    by: str
    note: str
    at_ms: int | None
    """Redis's clock; None: damaged."""
    accepted: bool
    """The colleague holds it by now, who is shown the note still."""

    @classmethod
    def of(cls, fields: Mapping[str, str], lease_ms: int) -> "HandOver | None":
        """None: there is none, or the lease of the giver is over; `lease_ms`: the time left of the incident's lease."""
        to, by, holder = (fields.get(name, "") for name in ("handed_to", "handed_by", "holder"))
        if not lease_ms or not to or holder not in (to, by):
            return None
        at_ms = number_of(fields, "handed_ms")
        return cls(to=to, by=by, note=fields.get("handed_note", ""), at_ms=at_ms, accepted=holder == to)


@dataclass(frozen=True, kw_only=True)
class HelpAsked:
    """A question to all."""

    what: str
    by: str
    at_ms: int | None
    """Redis's clock; None: damaged."""

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "HelpAsked | None":
        """None: nobody asked."""
        what = fields.get("help", "")
        at_ms = number_of(fields, "help_ms")
        return cls(what=what, by=fields.get("help_by", ""), at_ms=at_ms) if what else None
