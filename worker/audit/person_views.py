"""Views of pictures by one person, from the newest entries of the audit log in Redis: the store is not read."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from worker.audit.chain import LinkedEntry
from worker.audit.entries import Act, Shown
from worker.audit.redis_log import LINKED, UNLINKED, undecoded
from worker.audit.search import entry_record
from worker.store.redis_client import store_errors

MOST_READ: Final = 10_000
"""Entries that are read of each stream, the newest first: ten people with 240 acts an hour make them in four hours."""

_AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True)
class PersonView:
    """A picture that the person saw."""

    ref: str
    clear: bool
    """False: reduced."""
    at_ms: int
    """Redis's clock."""


def views_by(redis: Redis, name: str, refs: Collection[str], *, since_ms: int) -> tuple[PersonView, ...]:
    """Views of these pictures by the person of that name from a time on (>=), the newest first.

    Raises:
        StoreError: Redis failed, or this user of it may not read the audit log.
    """
    wanted, person = set(refs), name.strip().casefold()
    if not wanted:
        return ()
    return tuple(
        PersonView(
            ref=record["subject"],
            clear=_shown(record) == Shown.CLEAR,
            at_ms=record["at_ms"],
        )
        for record in _newest(redis, since_ms)
        if record["act"] == Act.VIEW
        and record["subject"] in wanted
        and str(record["by"]).casefold() == person
        and _shown(record) != Shown.NOTHING
    )


def _shown(record: dict[str, Any]) -> object:
    """The state in which a picture was shown."""
    return record["details"].get("shown") if isinstance(record["details"], dict) else None


def _newest(redis: Redis, since_ms: int) -> Iterator[dict[str, Any]]:
    for entry_id, fields in _back(redis, UNLINKED):
        at_ms = int(entry_id.partition("-")[0])
        if at_ms < since_ms:
            break
        yield entry_record(_text(fields.get(b"entry")), at_ms=at_ms)
    for _, fields in _back(redis, LINKED):
        linked = LinkedEntry.of({_text(one): _text(value) for one, value in fields.items()})
        if linked is None:
            continue
        if linked.at_ms < since_ms:
            break
        yield entry_record(linked.entry, at_ms=linked.at_ms, linked=linked)


def _back(redis: Redis, stream: str) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    """The newest entries of a stream, backwards."""
    end, read = "+", 0
    while read < MOST_READ:
        with store_errors():
            found = undecoded(redis, "XREVRANGE", stream, end, "-", "COUNT", _AT_ONCE) or []
        for entry_id, fields in found:
            yield entry_id.decode(), fields or {}
        if len(found) < _AT_ONCE:
            return
        read += len(found)
        end = f"({found[-1][0].decode()}"


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("ascii", "backslashreplace")
