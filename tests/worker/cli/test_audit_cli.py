"""`livewarden audit` as an auditor runs it."""

import re
from pathlib import Path

import pytest
from commandline import livewarden
from pyrage import x25519
from redis import Redis

from worker.audit.chainer import link_waiting
from worker.audit.copies import copy_log
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.published_heads import publish_head
from worker.audit.redis_log import LINKED
from worker.runtime.audit_copy import sealed_to
from worker.store.object_store import ObjectStore


@pytest.fixture
def environment(redis: Redis, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """A deployment with three acts on record."""
    for by, act, subject in (("ann", Act.TAKE, "0a1b"), ("ann", Act.VIEW, "5a5a"), ("bob", Act.DECISION, "0a1b")):
        append_entry(redis, audit_entry(act, by=by, verified=by == "bob", subject=subject, note=f"a note of {by}"))
    link_waiting(redis)
    return {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        "HOME": str(tmp_path),
    }


def test_an_auditor_lists_what_people_did(environment: dict[str, str]):
    """Who looked at what would be on record, and nobody could read it."""
    ran = livewarden("audit", "list", "--json", environment=environment)
    assert ran.status == 0
    assert [(one["n"], one["by"], one["act"], one["verified"]) for one in ran.records] == [
        (4, "bob", "decision", True),
        (3, "ann", "view", False),
        (2, "ann", "take", False),
        (1, "worker", "chain", True),
    ]
    ran = livewarden("audit", "list", "--person", "ann", "--subject", "0a1b", environment=environment)
    assert "ann unverified" in ran.out
    assert "bob" not in ran.out
    ran = livewarden("audit", "list", "--limit", "1", environment=environment)
    assert "The newest 1; for more" in ran.out
    assert livewarden("audit", "list", "--since", "2999-01-01", environment=environment).out == "No such entry.\n"


@pytest.mark.parametrize(("option", "value"), [("--since", "yesterday"), ("--act", "peek")])
def test_a_wrong_filter_is_refused(environment: dict[str, str], option: str, value: str):
    """A misspelt filter would find nothing, which reads like nothing done."""
    ran = livewarden("audit", "list", option, value, environment=environment)
    assert ran.status == 2
    assert value in ran.err


@pytest.mark.parametrize("name", ["lost", "lost:5b", "lost:zz:1", "removed:5b:1;"])
def test_a_misspelt_fault_is_refused(environment: dict[str, str], name: str):
    """An auditor would take a fault for inquired into, or search for what is wrong with the log."""
    ran = livewarden("audit", "verify", "--known", name, environment=environment)
    assert ran.status == 2
    assert "KIND:CHAIN:N" in ran.err


def test_an_auditor_verifies_the_log(environment: dict[str, str], redis: Redis):
    """Altered entries would be found by no command, or what cannot be proved be passed over in silence."""
    ran = livewarden("audit", "verify", environment=environment)
    assert ran.status == 0
    assert "The log is whole." in ran.out
    assert "No head was published" in ran.out
    publish_head(redis, deployment="test")
    ran = livewarden("audit", "verify", environment=environment)
    assert "Entries after number 4" in ran.out
    oldest = redis.xrange(LINKED)[1][0]
    redis.xdel(LINKED, oldest)
    ran = livewarden("audit", "verify", environment=environment)
    assert ran.status == 1
    assert "removed: entry 2 is missing" in ran.out
    (name,) = re.findall(r"\[(removed:[0-9a-f]+:2)\]", ran.out)
    ran = livewarden("audit", "verify", "--known", name, environment=environment)
    assert ran.status == 0
    assert "known: entry 2 is missing" in ran.out
    assert "The log has no other fault." in ran.out
    ran = livewarden("audit", "verify", "--json", environment=environment)
    (report,) = ran.records
    assert (ran.status, report["whole"], report["complete"]) == (1, False, True)
    assert report["faults"][0]["kind"] == "removed"
    assert report["published"]["n"] == 4


def test_sealed_segments_need_the_identity(environment: dict[str, str], redis: Redis, tmp_path: Path):
    """An auditor without the key would be told that all is whole."""
    key = x25519.Identity.generate()
    (tmp_path / "recipients").write_text(f"{key.to_public()}\n")
    (tmp_path / "identity").write_text(f"{key}\n")
    (tmp_path / "identity").chmod(0o600)
    store = ObjectStore(environment["LIVEWARDEN_STORE_URL"])
    copy_log(redis, store, sealed=sealed_to(tmp_path / "recipients"), deployment="test")
    ran = livewarden("audit", "verify", environment=environment)
    assert ran.status == 1
    assert "1 segment could not be opened" in ran.out
    redis.xtrim(LINKED, maxlen=2, approximate=False)
    ran = livewarden("audit", "list", "--json", environment=environment)
    assert len(ran.records) == 2
    assert "LIVEWARDEN_EVIDENCE_IDENTITY" in ran.message
    with_key = environment | {"LIVEWARDEN_EVIDENCE_IDENTITY": str(tmp_path / "identity")}
    assert livewarden("audit", "verify", environment=with_key).status == 0
    assert len(livewarden("audit", "list", "--json", environment=with_key).records) == 4


def test_a_store_that_is_away_is_one_line(environment: dict[str, str], tmp_path: Path):
    """An auditor would get a traceback, or be told that the log is whole."""
    (tmp_path / "store").write_text("")
    ran = livewarden("audit", "verify", environment=environment)
    assert ran.status == 2
    assert ran.message.startswith("store: ")
