"""Actions, counted from real logs in a real Valkey and a real folder."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from evidence_items import Pair
from redis import Redis
from scene import Scene

from worker.audit.chainer import link_waiting
from worker.audit.copies import copy_log
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.redis_log import LINKED, UNLINKED
from worker.audit.search import AuditSearch
from worker.audit.segments import Cipher
from worker.insight.actions import MORE, MOST_NAMES, ActionCounts, count_acts, count_interrupts
from worker.insight.backlog import backlog_section, waiting_incidents
from worker.insight.period import Period
from worker.queue.claims import take
from worker.queue.open_incidents import open_incidents
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms

DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "store"))


def period(redis: Redis) -> Period:
    today = datetime.fromtimestamp(now_ms(redis) / 1000, UTC).date()
    return Period(first=today, last=today)


def act(redis: Redis, kind: Act, **details: str) -> None:
    append_entry(redis, audit_entry(kind, by="lea", verified=False, subject="case-1", **details))


def counted(redis: Redis, store: ObjectStore, opened: Cipher | None = None) -> ActionCounts:
    counts = ActionCounts()
    count_acts(AuditSearch(redis, store, opened=opened), period(redis), counts)
    return counts


def test_acts_count_once_wherever_they_are(redis: Redis, store: ObjectStore) -> None:
    """A report to an authority would count twice once it is copied, or not at all once Redis has dropped it."""
    act(redis, Act.REPORT, authority="NCMEC")
    link_waiting(redis)
    copy_log(redis, store, sealed=None, deployment="test")
    act(redis, Act.REPORT, authority="NCA")
    link_waiting(redis)
    act(redis, Act.HOLD)
    for _ in range(2):
        found = counted(redis, store)
        assert (found.acts, found.unopened, found.unread) == ({"report": 2, "hold": 1}, 0, "")
        assert found.authorities == {"NCMEC": 1, "NCA": 1}
        redis.xtrim(LINKED, maxlen=1, approximate=False)  # the first is in the store alone


def test_sealed_acts_are_counted_with_the_identity_alone(redis: Redis, store: ObjectStore) -> None:
    """Acts in sealed segments would be missing without a word."""
    pair = Pair()
    act(redis, Act.HOLD)
    link_waiting(redis)
    copy_log(redis, store, sealed=pair.recipients.encrypt, deployment="test")
    redis.xtrim(LINKED, maxlen=0, approximate=False)
    closed = counted(redis, store)
    assert (closed.acts, closed.unopened) == ({}, 1)
    opened = counted(redis, store, pair.identity.decrypt)
    assert (opened.acts, opened.unopened) == ({"hold": 1}, 0)


def test_foreign_entries_end_no_report(redis: Redis, store: ObjectStore) -> None:
    """Whoever may write to the log could keep the report from being made."""
    entry = {"id": [], "act": ["hold"], "by": 1, "verified": 0, "subject": {}, "details": []}
    for text in (json.dumps(entry), json.dumps(entry | {"act": "report"}), "x", "[]"):
        redis.xadd(UNLINKED, {"entry": text})
    found = counted(redis, store)
    assert (found.acts, found.authorities) == ({"report": 1}, {})


def test_other_days_do_not_count(redis: Redis, store: ObjectStore) -> None:
    """A report on a month would have the holds of the next one."""
    act(redis, Act.HOLD)
    counts, today = ActionCounts(), period(redis).first
    count_acts(AuditSearch(redis, store, opened=None), Period(first=today - DAY, last=today - DAY), counts)
    assert counts.acts == {}


def test_names_are_bounded(redis: Redis, store: ObjectStore) -> None:
    """Authorities that a program makes up would fill the memory, or drop out of the sum."""
    for number in range(MOST_NAMES + 3):
        act(redis, Act.REPORT, authority=f"authority-{number}")
    found = counted(redis, store)
    assert len(found.authorities) == MOST_NAMES + 1
    assert found.authorities[MORE] == 3


def test_interruptions_of_many_pages_count_once(redis: Redis) -> None:
    """An entry at the end of a page would count twice, or be skipped."""
    event = {"type": "livewarden.interrupt.requested.v1", "data": {"purpose": "live", "rule": "stop"}}
    drill = {"type": "livewarden.interrupt.requested.v1", "data": {"purpose": "drill", "rule": "stop"}}
    with redis.pipeline(transaction=False) as pipe:
        for _ in range(2_345):
            pipe.xadd("lw:decisions", {"event": json.dumps(event)})
        pipe.xadd("lw:decisions", {"event": json.dumps(drill)})
        pipe.execute()
    counts = ActionCounts()
    count_interrupts(redis, period(redis), "live", counts)
    assert counts.interrupts == {"stop": 2_345}


def test_backlog_is_the_queue_s(scene: Scene) -> None:
    """The report would show another backlog than the desk."""
    for number in range(3):
        scene.raise_incident(f"cam-{number}")
    scene.raise_incident("cam-drill", purpose="drill")
    take(scene.redis, "ann")
    waiting, listed = list(waiting_incidents(scene.redis)), open_incidents(scene.redis)
    assert [(one.severity, one.purpose, one.held) for one in waiting] == [
        (one.severity, one.purpose, one.holder is not None) for one in listed
    ]
    (table, _) = backlog_section(waiting, purpose="live", as_of="now", undecided=0).tables
    critical, *_, every = table.records()
    assert (every["waiting"], critical["waiting"]) == (3, 3)
    assert critical["oldest_seconds"] == max(one.age_seconds for one in waiting if one.purpose == "live")
