"""`livewarden bank` in a deployment with a roster."""

import json
import secrets
from pathlib import Path

import pytest
from commandline import livewarden
from people_made import Roster
from redis import Redis

from worker.people.actor import Role
from worker.store.redis_keys import AUDIT_UNLINKED


@pytest.fixture
def roster(redis: Redis) -> Roster:
    roster = Roster(redis)
    roster.add("mo", Role.MODERATOR)
    return roster


@pytest.fixture
def environment(redis_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        "HOME": str(tmp_path),
    }


def changes(redis: Redis) -> list[tuple[str, str, bool]]:
    entries = [json.loads(fields["entry"]) for _, fields in redis.xrange(AUDIT_UNLINKED.name)]
    return [(one["details"]["did"], one["by"], one["verified"]) for one in entries if one["act"] == "list"]


def test_a_name_needs_its_token(roster: Roster, environment: dict[str, str]):
    """Anyone at the terminal could change lists under a lead's name."""
    ran = livewarden("bank", "create", "own", "--by", "mo", environment=environment)
    assert (ran.status, "token" in ran.message) == (2, True)
    wrong = environment | {"LIVEWARDEN_TOKEN": roster.tokens["lea"]}
    assert livewarden("bank", "create", "own", "--by", "mo", environment=wrong).status == 2
    assert changes(roster.redis) == []
    own = environment | {"LIVEWARDEN_TOKEN": roster.tokens["mo"]}
    assert livewarden("bank", "create", "own", "--by", "mo", environment=own).status == 0
    ran = livewarden("bank", "add", "own", "5a" * 32, "--by", "mo", "--role", "lead", environment=own)
    assert (ran.status, "moderator in the roster" in ran.message) == (2, True)
    assert changes(roster.redis) == [("put_list", "mo", True)]


def test_an_import_by_a_program_needs_no_person(roster: Roster, environment: dict[str, str], tmp_path: Path):
    """The nightly import would fail from the day on which the first person is added, and lists grow stale."""
    (tmp_path / "list.csv").write_text(f"hash\n{secrets.token_hex(32)}\n")
    assert livewarden("bank", "import", "own", str(tmp_path / "list.csv"), environment=environment).status == 0
    assert changes(roster.redis)[-1] == ("import", "operator", False)


def test_acts_that_need_a_lead_take_the_role_of_the_roster(roster: Roster, environment: dict[str, str]):
    """A moderator could call themselves a lead, and silence a hash."""
    assert livewarden("bank", "create", "own", environment=environment).status == 0
    assert livewarden("bank", "add", "own", "5a" * 32, "--id", "case-7", environment=environment).status == 0
    quarantine = ("bank", "quarantine", "own", "case-7", "--hours", "1")
    ran = livewarden(*quarantine, "--by", "mo", environment=environment | {"LIVEWARDEN_TOKEN": roster.tokens["mo"]})
    assert "only a lead may" in ran.message
    ran = livewarden(*quarantine, "--by", "lea", environment=environment | {"LIVEWARDEN_TOKEN": roster.tokens["lea"]})
    assert ran.status == 0
    assert changes(roster.redis)[-1] == ("quarantine", "lea", True)
    ran = livewarden(*quarantine, environment=environment)
    assert "--by NAME and --role ROLE are required" in ran.message
