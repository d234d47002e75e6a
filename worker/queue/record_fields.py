"""Fields of an incident's record, some of which may be missing or damaged."""

from collections.abc import Mapping
from typing import Final

from worker.people.actor import Role
from worker.people.roster import may_hold
from worker.store import redis_keys

LEASE_SECONDS = 600.0
LONGEST_LEASE_MS = round(LEASE_SECONDS * 1000)
"""A longer lease was taken before Redis's clock went back; it lasts so long from then on."""
LONGEST_HOLD_MS: Final = redis_keys.HELD.seconds * 1000
"""The same for one that a person lengthened on purpose (`worker.queue.holds`): an hour's break, and the way back."""

UNREADABLE: Final = "unreadable"
"""In place of a field that a damaged record lacks."""

LONGEST_NUMBER: Final = 19
"""Digits of a stored number: a longer one is foreign data."""


def number_of(fields: Mapping[str, str], field: str) -> int | None:
    """Reads a number of a record; None: it is missing or damaged."""
    text = fields.get(field, "")
    return int(text) if text.isdecimal() and len(text) <= LONGEST_NUMBER else None


def role_needed(fields: Mapping[str, str]) -> str:
    """The role that decides on an incident, by its record (`needed_role` in worker/store/lua/shared/people.lua)."""
    return fields.get("needs_role") or (Role.LEAD if "kept_under" in fields else Role.MODERATOR)


def lease_left_ms(fields: Mapping[str, str], now: int, roster: Mapping[str, str]) -> int:
    """The time left of an incident's lease, by its record and the roster's records; 0: it is free."""
    if "holder" not in fields or not may_hold(roster, fields["holder"], role_needed(fields)):
        return 0
    longest_ms = LONGEST_HOLD_MS if "hold_until_ms" in fields else LONGEST_LEASE_MS
    return min(max(0, (number_of(fields, "lease_until_ms") or 0) - now), longest_ms)
