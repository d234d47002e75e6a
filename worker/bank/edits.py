"""Edits by hand: lists are created, changed and dropped, single entries added and removed."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from redis import Redis

from config.facts import SELFTEST
from models.bank.bank import Bank
from models.bank.delta import BankChange
from models.bank.entries import BUILT_IN, LARGEST_ID, Entry, HashKind, ListSpec
from models.pdq.variant_kinds import Variant
from worker.bank.changelog import append_changes
from worker.errors import BankRequestError
from worker.people.actor import Actor, Role
from worker.store.redis_client import now_ms, store_errors

OPERATOR = "operator"
"""The recorded name if none was given: the user of this machine's command line."""

_ID_DIGITS = 16


_EXPECTED: Final = {
    "name": "LIST: expected 1 to 100 characters of A-Z a-z 0-9 . _ -",
    "max_distance": "--max-distance: expected 0 to 31",
    "min_quality": "--min-quality: expected 0 to 100",
    "variants": f"--variants: expected {', '.join(Variant)}",
    "refresh_seconds": "--refresh-hours: expected a number of hours above 0",
}
"""By the field of a list; the others take any text."""


def spec_of(fields: Mapping[str, Any]) -> ListSpec:
    """Parses a list's spec as a person gave it.

    Raises:
        BankRequestError: a field is invalid; the text names it.
    """
    try:
        return ListSpec.model_validate(fields)
    except ValidationError as error:
        wrong = dict.fromkeys(str(one["loc"][0]) for one in error.errors())
        raise BankRequestError("; ".join(_EXPECTED[field] for field in wrong)) from error


def create(redis: Redis, bank: Bank, spec: ListSpec, *, by: str | Actor = OPERATOR, role: str = "") -> ListSpec:
    """Creates an empty list.

    Raises:
        BankRequestError: one of that name exists.
        StoreError: Redis failed.
    """
    if spec.name in bank.specs:
        raise BankRequestError(f"list {spec.name} exists: --change changes its settings")
    with store_errors():
        made = spec.model_copy(update={"created_ms": now_ms(redis)})
    append_changes(redis, [BankChange.put_list(made, at_ms=0)], by=by, role=role)
    return made


def change(
    redis: Redis, bank: Bank, name: str, fields: Mapping[str, Any], *, by: str | Actor = OPERATOR, role: str = ""
) -> ListSpec:
    """Changes `fields` of a list; other fields and the entries stay. Where it has them already, nothing is recorded.

    Raises:
        BankRequestError: there is no such list, it is a built-in one, or a field is invalid.
        StoreError: Redis failed.
    """
    spec = must_exist(bank, name)
    if name in BUILT_IN:
        raise BankRequestError(f"list {name} is built in and cannot be changed")
    changed = spec_of(spec.model_dump() | dict(fields))
    changes = [] if changed == spec else [BankChange.put_list(changed, at_ms=0)]
    append_changes(redis, changes, by=by, role=role)
    return changed


def add(
    redis: Redis, bank: Bank, name: str, entries: Sequence[Entry], *, by: str | Actor = OPERATOR, role: str = ""
) -> None:
    """Adds entries to a list. Of those that it has just so nothing is recorded.

    Raises:
        BankRequestError: there is no such list, or it is a built-in one.
        StoreError: Redis failed.
    """
    must_exist(bank, name)
    if name in BUILT_IN:
        raise BankRequestError(f"list {name} is built in and takes no such entry: see `livewarden bank add --help`")
    new = [entry for entry in entries if entry not in bank.exact(name, entry.entry)]
    append_changes(redis, [BankChange.add(name, entry, at_ms=0) for entry in new], by=by, role=role)


def remove(
    redis: Redis, bank: Bank, name: str, entry_ids: Sequence[str], *, by: str | Actor = OPERATOR, role: str = ""
) -> None:
    """Withdraws entries, all or none.

    Raises:
        BankRequestError: there is no such list or entry; or the list is built in and the actor is not a lead.
        StoreError: Redis failed.
    """
    must_exist(bank, name)
    _check_built_in(name, by if isinstance(by, Actor) else None)
    missing = [one for one in entry_ids if not bank.exact(name, one)]
    if missing:
        raise BankRequestError(f"list {name} has no entry {missing[0]!r}: nothing was removed")
    changes = [BankChange.remove(name, one, at_ms=0) for one in entry_ids]
    append_changes(redis, changes, by=by, role=role)


def drop(redis: Redis, bank: Bank, name: str, *, by: str | Actor = OPERATOR, role: str = "") -> None:
    """Withdraws a list with all its entries.

    Raises:
        BankRequestError: there is no such list, or it is a built-in one.
        StoreError: Redis failed.
    """
    must_exist(bank, name)
    if name in BUILT_IN:
        raise BankRequestError(f"list {name} is built in and cannot be removed")
    append_changes(redis, [BankChange.drop_list(name, at_ms=0)], by=by, role=role)


def must_exist(bank: Bank, name: str) -> ListSpec:
    """Returns the list's spec.

    Raises:
        BankRequestError: there is no such list.
    """
    if name not in bank.specs:
        raise BankRequestError(f"no list {name[:100]!r}: the lists are {', '.join(bank.specs)}")
    return bank.specs[name]


def _check_built_in(name: str, actor: Actor | None) -> None:
    if name == SELFTEST:
        raise BankRequestError(f"list {name} is built in: its entries cannot be changed")
    if name in BUILT_IN:
        if actor is None:
            raise BankRequestError(f"list {name}: give --by NAME and --role {Role.LEAD}")
        actor.must_be(Role.LEAD, to=f"remove an entry of {name}")


def derived_entry_id(list_name: str, kind: HashKind, value: bytes) -> str:
    """Derives an id from list and hash, so that adding a hash twice makes one entry. It does not reveal the hash."""
    digest = hashlib.sha256(b"\0".join([b"livewarden entry", list_name.encode(), kind.encode(), value]))
    return f"e-{digest.hexdigest()[:_ID_DIGITS]}"


def check_entry(entry: Entry) -> Entry:
    """Returns an entry that a person typed, if it is valid.

    Raises:
        BankRequestError: its id, a tag or its video's id is empty, too long or not printable.
    """
    for what, text in (("--id", entry.entry), ("--video", entry.video), *(("--tag", tag) for tag in entry.tags)):
        if text is not None and (not 1 <= len(text) <= LARGEST_ID or not text.isprintable()):
            raise BankRequestError(f"{what}: expected 1 to {LARGEST_ID} printable characters")
    if entry.seconds is not None and not (math.isfinite(entry.seconds) and entry.seconds >= 0):
        raise BankRequestError("--seconds: expected 0 or more")
    return entry
