"""Changes of the bank that a person makes again on purpose, or after another change."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from models.bank.bank import Bank
from models.bank.entries import CONFIRMED, Entry, HashKind, ListSpec
from models.pdq.pdq import PdqHash
from worker.bank import edits
from worker.bank.history import read_history
from worker.bank.imports import import_file
from worker.bank.keys import CHANGES, HISTORY
from worker.bank.own_lists import allow, confirm
from worker.bank.quarantine import set_quarantine
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.people.actor import Actor, Role
from worker.store.redis_client import ONCE_SECONDS

LEAD = Actor(name="lea", role=Role.LEAD)
OTHER = Actor(name="lou", role=Role.LEAD)
MO = Actor(name="mo", role=Role.MODERATOR)
CASE_7 = Entry(entry="case-7", kind=HashKind.PDQ, value=secrets.token_bytes(32))


@pytest.fixture
def bank(redis: Redis, storage: SnapshotStorage) -> Callable[[], Bank]:
    """The bank in force; it begins with an empty list of one's own."""
    edits.create(redis, follow(redis, storage).bank, ListSpec(name="own"))
    return lambda: follow(redis, storage).bank


def let_pass(redis: Redis, seconds: float) -> None:
    """Moves all that was done to the bank into the past."""
    for stream in (HISTORY, CHANGES):
        elements = redis.xrange(stream)
        redis.delete(stream)
        for one, fields in elements:
            milliseconds, sequence = str(one).split("-")
            redis.xadd(stream, fields, id=f"{int(milliseconds) - round(seconds * 1000)}-{sequence}")


def did(redis: Redis) -> list[str]:
    """Acts of people, the oldest first, but for the creation of the list."""
    return [act.did for act in read_history(redis)][-2::-1]


def test_an_entry_that_was_withdrawn_is_added_again(redis: Redis, bank: Callable[[], Bank]) -> None:
    """A hash of known material would stay out of force."""
    edits.add(redis, bank(), "own", [CASE_7])
    edits.remove(redis, bank(), "own", ["case-7"])
    edits.add(redis, bank(), "own", [CASE_7])
    assert list(bank().exact("own", "case-7")) == [CASE_7]
    assert did(redis) == ["add", "remove", "add"]


@pytest.mark.parametrize("small_changes", [0, 100])
def test_each_import_on_purpose_is_on_record(
    redis: Redis,
    storage: SnapshotStorage,
    bank: Callable[[], Bank],
    list_file: Callable[..., Path],
    small_changes: int,
) -> None:
    """Nobody could say that a list which did not change was fetched, and by whom."""
    assert "own" in bank().specs
    path = list_file(5)
    for by in ("kim", "kim", "lou", "kim"):
        import_file(redis, storage, "own", path, by=by, small_changes=small_changes)
    assert [act.by for act in read_history(redis) if act.did == "import"] == ["kim", "lou", "kim"]
    let_pass(redis, ONCE_SECONDS)
    import_file(redis, storage, "own", path, by="kim", small_changes=small_changes)
    assert did(redis) == ["import"] * 4


def test_what_a_lead_says_again_later_holds_from_then_on(redis: Redis, bank: Callable[[], Bank]) -> None:
    """A harmless picture would call moderators again before the time that the lead gave."""
    edits.add(redis, bank(), "own", [CASE_7])
    pdq = PdqHash(bits=CASE_7.value, quality=90)

    def say(*, hours: float, actor: Actor = LEAD) -> tuple[str, int]:
        allowed = allow(redis, bank(), pdq, list_name="own", hours=hours, actor=actor)
        quarantine = set_quarantine(redis, bank(), "own", "case-7", hours=hours, reason="floods", actor=actor)
        return allowed.tags[1], quarantine.until_ms

    first = say(hours=2)
    assert say(hours=2) == first
    assert did(redis) == ["add", "add", "quarantine"]
    others = [say(hours=3), say(hours=2), say(hours=2, actor=OTHER)]
    assert len({first, *others}) == 4
    assert did(redis) == ["add", *["add", "quarantine"] * 4]


def test_a_picture_is_confirmed_for_each_that_two_people_put_forward(redis: Redis, bank: Callable[[], Bank]) -> None:
    """A second picture that is confirmed under the same id would not be in force."""
    pictures = [PdqHash(bits=secrets.token_bytes(32), quality=90) for _ in range(2)]
    for pdq in pictures:
        assert not confirm(redis, pdq, actor=MO, entry="case-7").confirmed
    for pdq in pictures:
        assert confirm(redis, pdq, actor=LEAD).confirmed
        assert confirm(redis, pdq, actor=LEAD).proposed_by == "mo"
    assert {one.value for one in bank().exact(CONFIRMED, "case-7")} == {pdq.bits for pdq in pictures}
    assert did(redis) == ["propose", "propose", "add", "add"]
