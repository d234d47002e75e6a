"""Acts of people on the bank, in the audit log."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from people_made import Roster
from redis import Redis

from models.bank.bank import Bank
from models.bank.entries import Entry, HashKind, ListSpec
from models.pdq.pdq import PdqHash
from worker.bank import edits
from worker.bank.changelog import read_pointer
from worker.bank.imports import import_file
from worker.bank.keys import CHANGES, HISTORY, PROPOSED, QUARANTINE
from worker.bank.own_lists import allow, confirm
from worker.bank.quarantine import lift_quarantine, quarantines, set_quarantine
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import PeopleError, StoreError
from worker.people.actor import Actor, Role
from worker.people.changes import remove_person
from worker.store.redis_keys import AUDIT_UNLINKED

MO = Actor(name="mo", role=Role.MODERATOR)
LEAD = Actor(name="lea", role=Role.LEAD)


@pytest.fixture
def bank(redis: Redis, storage: SnapshotStorage) -> Callable[[], Bank]:
    return lambda: follow(redis, storage).bank


def recorded(redis: Redis) -> list[tuple[str, str, str, bool]]:
    """What was done to which list, by whom, and whether they proved it."""
    entries: list[Any] = [json.loads(fields["entry"]) for _, fields in redis.xrange(AUDIT_UNLINKED.name)]
    return [
        (entry["details"]["did"], entry["subject"], entry["by"], entry["verified"])
        for entry in entries
        if entry["act"] == "list"
    ]


def entry(name: str) -> Entry:
    return Entry(entry=name, kind=HashKind.PDQ, value=secrets.token_bytes(32))


def hashes(folder: Path, *, lines: int) -> Path:
    path = folder / "list.csv"
    path.write_text("hash\n" + "".join(f"{secrets.token_hex(32)}\n" for _ in range(lines)))
    return path


def test_every_act_on_the_bank_is_recorded(
    redis: Redis, storage: SnapshotStorage, bank: Callable[[], Bank], tmp_path: Path
):
    """A hash could be withdrawn, and its matches missed, without a record of who did it."""
    pdq = PdqHash(bits=secrets.token_bytes(32), quality=90)
    edits.create(redis, bank(), ListSpec(name="own"))
    edits.change(redis, bank(), "own", {"max_distance": 20}, by=MO)
    edits.add(redis, bank(), "own", [entry("case-7")], by="mo")
    set_quarantine(redis, bank(), "own", "case-7", hours=1, reason="floods", actor=LEAD)
    lift_quarantine(redis, "own", "case-7", actor=LEAD)
    edits.remove(redis, bank(), "own", ["case-7"], by=MO)
    confirm(redis, pdq, actor=MO)
    confirm(redis, pdq, actor=LEAD)
    allow(redis, bank(), pdq, list_name="own", hours=1, actor=LEAD)
    import_file(redis, storage, "own", hashes(tmp_path, lines=3), by=MO)
    import_file(redis, storage, "own", hashes(tmp_path, lines=3), by=MO, small_changes=0)
    edits.drop(redis, bank(), "own", by=MO)
    assert recorded(redis) == [
        ("put_list", "own", "operator", False),
        ("put_list", "own", "mo", False),
        ("add", "own", "mo", False),
        ("quarantine", "own", "lea", False),
        ("lift", "own", "lea", False),
        ("remove", "own", "mo", False),
        ("propose", "confirmed", "mo", False),
        ("add", "confirmed", "lea", False),
        ("add", "allow", "lea", False),
        ("import", "own", "mo", False),
        ("import", "own", "mo", False),
        ("drop_list", "own", "mo", False),
    ]
    texts = " ".join(fields["entry"] for _, fields in redis.xrange(AUDIT_UNLINKED.name))
    assert pdq.bits.hex() not in texts


def test_an_act_that_cannot_be_recorded_does_not_happen(
    redis: Redis, storage: SnapshotStorage, bank: Callable[[], Bank], tmp_path: Path
):
    """Whoever breaks the audit log could change lists unseen."""
    edits.create(redis, bank(), ListSpec(name="own"))
    edits.add(redis, bank(), "own", [entry("case-7")])
    before = redis.xlen(CHANGES), redis.xlen(HISTORY), read_pointer(redis)
    redis.set(AUDIT_UNLINKED.name, "no stream")
    pdq = PdqHash(bits=secrets.token_bytes(32), quality=90)
    for act in (
        lambda: edits.remove(redis, bank(), "own", ["case-7"]),
        lambda: set_quarantine(redis, bank(), "own", "case-7", hours=1, reason="", actor=LEAD),
        lambda: confirm(redis, pdq, actor=MO),
        lambda: import_file(redis, storage, "own", hashes(tmp_path, lines=3), small_changes=0),
    ):
        with pytest.raises(StoreError, match="WRONGTYPE"):
            act()
    assert (redis.xlen(CHANGES), redis.xlen(HISTORY), read_pointer(redis)) == before
    assert not redis.exists(PROPOSED, QUARANTINE)


def test_people_of_the_roster_are_verified(redis: Redis, bank: Callable[[], Bank]):
    """The record would not tell a proved name from a stated one."""
    roster = Roster(redis)
    mo = roster.add("mo")
    edits.create(redis, bank(), ListSpec(name="own"), by=mo)
    edits.add(redis, bank(), "own", [entry("case-7")])
    set_quarantine(redis, bank(), "own", "case-7", hours=1, reason="", actor=roster.lead)
    assert recorded(redis) == [
        ("put_list", "own", "mo", True),
        ("add", "own", "operator", False),
        ("quarantine", "own", "lea", True),
    ]


def test_a_person_who_was_removed_changes_no_list(
    redis: Redis, storage: SnapshotStorage, bank: Callable[[], Bank], tmp_path: Path
):
    """A dismissed lead could silence a list in the minutes before the command ends."""
    roster = Roster(redis)
    other = roster.add("other", Role.LEAD)
    edits.create(redis, bank(), ListSpec(name="own"))
    edits.add(redis, bank(), "own", [entry("case-7")])
    set_quarantine(redis, bank(), "own", "case-7", hours=1, reason="", actor=other)
    remove_person(redis, "other", by=roster.lead)
    before = recorded(redis)
    pdq = PdqHash(bits=secrets.token_bytes(32), quality=90)
    for act in (
        lambda: edits.remove(redis, bank(), "own", ["case-7"], by=other),
        lambda: set_quarantine(redis, bank(), "own", "case-7", hours=2, reason="", actor=other),
        lambda: lift_quarantine(redis, "own", "case-7", actor=other),
        lambda: confirm(redis, pdq, actor=other),
        lambda: allow(redis, bank(), pdq, list_name="own", hours=1, actor=other),
        lambda: import_file(redis, storage, "own", hashes(tmp_path, lines=3), by=other),
        lambda: import_file(redis, storage, "own", hashes(tmp_path, lines=3), by=other, small_changes=0),
    ):
        with pytest.raises(PeopleError, match="roster"):
            act()
    assert recorded(redis) == before
    assert bank().exact("own", "case-7")
    assert [one.by for one in quarantines(redis)] == ["other"]
