"""The session of a `livewarden bank` command: Redis, and the bank as it is now."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.settings import Settings
from worker.runtime.environment import settings_of

if TYPE_CHECKING:
    from redis import Redis

    from models.formats import Format
    from worker.bank.lists_in_force import ListsInForce
    from worker.bank.shared_bank import SharedBank
    from worker.bank.snapshot_storage import SnapshotStorage
    from worker.people.actor import Actor
    from worker.store.object_store import ObjectStore


@dataclass(frozen=True, kw_only=True)
class Session:
    """The bank, as one command sees it."""

    redis: "Redis"
    storage: "SnapshotStorage"
    shared: "SharedBank"
    """Without the lists of LIVEWARDEN_LISTS_DIR: the part that can be changed."""
    in_force: "ListsInForce"
    """With them: the lists that workers compare with."""
    store: "ObjectStore | None"
    """None: LIVEWARDEN_STORE_URL is not usable here."""


@contextmanager
def session() -> Iterator[Session]:
    """Opens the bank for one command.

    Raises:
        StoreError: Redis is away.
        HashListError, BankRequestError: nothing usable is there.
    """
    from worker.bank.folder_lists import load_folder
    from worker.bank.lists_in_force import combine_lists
    from worker.bank.replication import fetch_at_start
    from worker.bank.shared_bank import follow
    from worker.bank.snapshot_storage import SnapshotStorage
    from worker.store.redis_client import connect, store_errors

    settings = settings_of(os.environ, paths=("bank_dir", "lists_dir"))
    storage = SnapshotStorage.of(settings)
    with connect(settings.redis_url.get_secret_value()) as redis, store_errors():
        fetch_at_start(redis, storage)
        shared = follow(redis, storage)
        now = combine_lists(shared, load_folder(settings.lists_dir))
        yield Session(redis=redis, storage=storage, shared=shared, in_force=now, store=_store(settings))


def author_of(redis: "Redis", by: str | None, role: str | None) -> "str | Actor":
    """The author of a change: with a roster the person that `--by` names, proved by their token. Without `--by` it is a
    program of the operator's, such as a nightly import; `--role` without a roster is stated, and recorded.

    Raises:
        PeopleError: the token is missing or wrong, or `--role` is another than the roster's.
        BankRequestError, QueueError: `--role` or `--by` is malformed.
        StoreError: Redis failed.
    """
    from worker.bank.edits import OPERATOR
    from worker.cli.options import acting_person
    from worker.people.actor import Actor

    name = OPERATOR if by is None else by
    if name == OPERATOR and not role:
        return OPERATOR
    stated = Actor.of(name, role) if role else None
    actor = acting_person(redis, name, role or None)
    if actor.verified:
        return actor
    return name if stated is None else stated


def person_of(redis: "Redis", by: str | None, role: str | None) -> "Actor":
    """The person behind an act that needs one: of the roster, or, without one, as `--by` and `--role` state.

    Raises:
        BankRequestError: there is no roster, and one of both is missing.
        PeopleError, QueueError, StoreError: as `author_of`.
    """
    from worker.people.actor import Actor

    author = Actor.of(by, role) if by is None else author_of(redis, by, role)
    return author if isinstance(author, Actor) else Actor.of(by, role)


def _store(settings: Settings) -> "ObjectStore | None":
    from worker.errors import ObjectStoreError
    from worker.store.object_store import ObjectStore

    try:
        return ObjectStore(settings.store_url)
    except ObjectStoreError:  # reported by commands that need it, and by `livewarden doctor`
        return None


def format_named(name: str) -> "Format":
    """The format of that name.

    Raises:
        BankRequestError: there is none of that name.
    """
    from models.formats import Format
    from worker.errors import BankRequestError

    try:
        return Format(name)
    except ValueError:
        raise BankRequestError(f"--format {name[:40]!r}: expected one of {', '.join(Format)}") from None
