"""The row of `livewarden doctor` about the audit log."""

from pathlib import Path

import pytest
from redis import Redis

from config.settings import Settings
from worker.audit.chainer import link_waiting
from worker.audit.copies import copy_log
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.redis_log import LINKED, UNLINKED, read_head
from worker.doctor.audit import COPIED_WITHIN_MS, examine_audit
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms
from worker.store.redis_keys import AUDIT_HEAD


def row(redis: Redis, **variables: str) -> tuple[str, str]:
    (found,) = examine_audit(redis, Settings.from_mapping(variables))
    return found.state, found.found


def act(redis: Redis) -> None:
    append_entry(redis, audit_entry(Act.VIEW, by="kim", verified=False, subject="5a"))


@pytest.fixture
def linked(redis: Redis) -> Redis:
    act(redis)
    link_waiting(redis)
    return redis


def test_a_log_without_entries_is_fine(redis: Redis):
    """A new deployment would begin with a warning."""
    assert row(redis) == ("ok", "no act was recorded yet")


def test_a_whole_log_is_fine_and_its_form_is_said(linked: Redis, tmp_path: Path):
    """An operator would not learn that the log lies in the store in the clear."""
    copy_log(linked, ObjectStore(str(tmp_path)), sealed=None, deployment="test")
    state, found = row(linked)
    assert state == "ok"
    assert found == (
        "2 entries, the newest 0 only in Redis so far; copies are clear: there are no recipients of evidence"
    )
    assert "are sealed" in row(linked, LIVEWARDEN_EVIDENCE_RECIPIENTS="/etc/recipients")[1]


def test_entries_that_nobody_links_are_named(linked: Redis):
    """A chainer that is stuck would be noticed in an inquiry, when it is too late."""
    entry = audit_entry(Act.VIEW, by="kim", verified=False, subject="5a")
    linked.delete(UNLINKED)
    linked.xadd(UNLINKED, {"entry": entry}, id=f"{now_ms(linked) - 60_000}-0")
    state, found = row(linked)
    assert (state, found.startswith("1 entry not linked for over 10 s")) == ("warn", True)


def test_an_end_that_does_not_fit_the_head_fails(linked: Redis):
    """A cut-off end would be seen only by whoever verifies the whole log."""
    newest = read_head(linked).last_id
    linked.xdel(LINKED, newest)
    assert row(linked)[0] == "fail"


def test_a_log_that_is_not_copied_is_named(linked: Redis):
    """Redis would fill with the log of a store that is away for weeks."""
    ((_, first), (_, second)) = linked.xrange(LINKED)
    linked.delete(LINKED)
    long_ago = now_ms(linked) - COPIED_WITHIN_MS - 60_000
    linked.xadd(LINKED, first, id=f"{long_ago}-0")
    newest = linked.xadd(LINKED, second, id=f"{long_ago}-1")
    linked.hset(AUDIT_HEAD.name, "last_id", newest)
    state, found = row(linked)
    assert state == "warn"
    assert found.startswith("2 entries, some 0.0 MB, only in Redis for 2 hours")
