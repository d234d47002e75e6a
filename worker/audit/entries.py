"""Entries of the audit log: who did what to what. An act's own script appends its entry in the same step."""

import json
import secrets
from collections.abc import Sequence
from enum import StrEnum

from redis import Redis

from worker.events.cloudevent import derived_id
from worker.store.redis_client import once_key, run_script_to_disk

MAX_TEXT: int = 1_000
"""Characters of a text of an entry that are kept, so that a note cannot fill Redis; a mark says that more followed."""

MAX_TEXTS: int = 100
"""Texts of a list that are kept."""

MAX_LISTED: int = 200
"""Characters that are kept of each."""

WORKER = "worker"
"""The `by` of acts that no person does; no name of a person, since `verified` is true for it."""


class Act(StrEnum):
    """The kind of an act that is recorded."""

    TAKE = "take"
    VIEW = "view"
    LOOK = "look"
    EXPORT = "export"
    RESEAL = "reseal"
    """Evidence was sealed again to other recipients, who can open it from then on."""
    JUDGEMENT = "judgement"
    """A judgement that waits: for a second person, or for a lead where two do not agree."""
    DECISION = "decision"
    REVISION = "revision"
    HOLD = "hold"
    RELEASE = "release"
    PURGE = "purge"
    LIST = "list"
    POLICY = "policy"
    ROLE = "role"
    REPORT = "report"
    AGREE = "agree"
    """A person agreed that a case is packaged for a recipient."""
    PACKAGE = "package"
    """A case was packaged, with its pictures, for a recipient."""
    FORGET = "forget"
    CASE_HOLD = "case_hold"
    """A person keeps a case for longer than its page is open; `hold` is a legal one, on evidence."""
    HAND_OVER = "hand_over"
    ASK_HELP = "ask_help"
    CHAIN = "chain"
    """A note of the log about itself: its beginning, or entries that were removed before they were linked."""


class Shown(StrEnum):
    """Form in which a person saw a picture: the detail `shown` of a view."""

    BLURRED = "blurred"
    """Reduced by the server, in whatever way."""
    CLEAR = "clear"
    NOTHING = "nothing"
    """The picture was altered: the try is on record, and no view."""


def audit_entry(
    act: Act | str, *, by: str, verified: bool, subject: str, **details: str | int | bool | list[str]
) -> str:
    """An entry as one line of ASCII JSON, at most some kilobytes: `{"id", "act", "by", "verified", "subject",
    "details"}`.

    Args:
        by: the person's name.
        verified: True if the person proved to be it, by a token.
        subject: what the act was done to: an incident, a reference of evidence, a list, a stream, a person.
        details: of the act; none may be a picture, a token or a hash of known material.
    """
    entry = {
        "id": secrets.token_hex(16),
        "act": Act(act),
        "by": _shortened(by),
        "verified": verified,
        "subject": _shortened(subject),
        "details": {name: _bounded(value) for name, value in sorted(details.items())},
    }
    return json.dumps(entry, separators=(",", ":"))


def append_entry(redis: Redis, entry: str) -> None:
    """Appends an entry of an act that no other script does, such as a view; returns when it is on disk. Called before
    the act: one that cannot be recorded must not happen.

    Raises:
        StoreError: Redis failed, or did not confirm it. It may have been appended.
    """
    run_script_to_disk(redis, "audit_append", keys=[], args=[entry])


def append_once(redis: Redis, entry: str, *, act: Sequence[str], on: Sequence[str]) -> None:
    """Appends the entry of one act on several incidents as `append_entry` does, unless all of them had this very act
    lately: then an answer of Redis was lost, and the person gives it again.

    Args:
        act: all that makes it this very act, with its person.
        on: ids of the incidents, at least one.

    Raises:
        StoreError: as `append_entry`.
    """
    keys = [once_key(derived_id(*act, incident_id)) for incident_id in on]
    run_script_to_disk(redis, "audit_duplicates", keys=keys, args=[entry])


def _bounded(value: str | int | bool | list[str]) -> str | int | bool | list[str]:
    if isinstance(value, str):
        return _shortened(value)
    if isinstance(value, list):
        kept = [_shortened(text, MAX_LISTED) for text in value[:MAX_TEXTS]]
        return kept if len(value) <= MAX_TEXTS else [*kept, f"… and {len(value) - MAX_TEXTS} more"]
    return value


def _shortened(text: str, most: int = MAX_TEXT) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
