"""The audit log while people act, and on a real S3 server."""

import threading
from collections.abc import Callable

import pytest
from redis import Redis
from s3_server import s3_server

from worker.audit import copies
from worker.audit.chainer import link_waiting
from worker.audit.copies import copy_log
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.published_heads import publish_head
from worker.audit.search import AuditSearch, EntryFilter
from worker.audit.verification import AuditReport, verify
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect

PEOPLE = 3
ACTS = 60


def test_a_log_that_is_written_meanwhile_is_whole(
    redis: Redis, redis_url: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
):
    """A verification during working hours would find entries missing that were linked or copied just then."""
    monkeypatch.setattr(copies, "KEPT", 5)
    done = threading.Event()

    def forever(step: Callable[[Redis], object]) -> None:
        with connect(redis_url) as client:
            while not done.is_set():
                step(client)

    def copy(client: Redis) -> None:
        copy_log(client, ObjectStore(store.root), sealed=None, deployment="test")
        publish_head(client, deployment="test")

    def person(name: str) -> None:
        with connect(redis_url) as client:
            for number in range(ACTS):
                append_entry(client, audit_entry(Act.VIEW, by=name, verified=False, subject=f"{number}"))

    services = [threading.Thread(target=forever, args=(step,)) for step in (link_waiting, link_waiting, copy)]
    people = [threading.Thread(target=person, args=(f"person {number}",)) for number in range(PEOPLE)]
    reports: list[AuditReport] = []
    for thread in (*services, *people):
        thread.start()
    try:
        while any(thread.is_alive() for thread in people):
            reports.append(verify(redis, store, opened=None))
    finally:
        for thread in people:
            thread.join()
        done.set()
        for thread in services:
            thread.join()
    link_waiting(redis)
    reports.append(verify(redis, store, opened=None))
    assert [fault.text for report in reports for fault in report.faults] == []
    (chain,) = reports[-1].chains
    assert chain.last == PEOPLE * ACTS + 1
    found = [one["by"] for one in AuditSearch(redis, store, opened=None).find(EntryFilter(act="view"))]
    assert sorted(found) == sorted(f"person {number}" for number in range(PEOPLE) for _ in range(ACTS))


class Happening(ObjectStore):
    """A store during whose first listing something happens."""

    def __init__(self, root: str, happens: Callable[[], object]) -> None:
        super().__init__(root)
        self.happens: Callable[[], object] | None = happens

    def names(self, folder: str) -> list[str]:
        """Names in a folder, as of after that."""
        if (happens := self.happens) is not None:
            self.happens = None
            happens()
        return super().names(folder)


def test_a_log_that_begins_while_it_is_verified_is_whole(redis: Redis, store: ObjectStore, acts: Callable[..., None]):
    """An operator would read on the first day that Redis has lost its data."""

    def begin() -> None:
        acts(3)
        assert not copy_log(redis, store, sealed=None, deployment="test")

    assert verify(redis, Happening(store.root, begin), opened=None).faults == ()


def test_a_log_that_begins_anew_while_it_is_verified_lost_one_end(
    redis: Redis, store: ObjectStore, acts: Callable[..., None]
):
    """The chain that has begun since would be reported as ended."""
    acts(2)
    assert not copy_log(redis, store, sealed=None, deployment="test")

    def lose() -> None:
        redis.flushall()
        acts(3)
        assert not copy_log(redis, store, sealed=None, deployment="test")

    (lost,) = verify(redis, Happening(store.root, lose), opened=None).faults
    assert (lost.kind, lost.n) == ("lost", 3)


def test_the_log_is_copied_to_s3_and_verified_there(
    redis: Redis, acts: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    """On a bucket, which has no folders, the log would not be found again."""
    with s3_server(monkeypatch) as url:
        store = ObjectStore(url)
        assert verify(redis, store, opened=None).whole
        for _ in range(2):
            acts(2)
            assert not copy_log(redis, store, sealed=None, deployment="test")
        report = verify(redis, store, opened=None)
        assert report.faults == ()
        assert [(one.last, one.in_store) for one in report.chains] == [(5, 5)]
        redis.flushall()
        acts(1)
        (lost,) = verify(redis, ObjectStore(url), opened=None).faults
        assert (lost.kind, lost.n) == ("lost", 5)
