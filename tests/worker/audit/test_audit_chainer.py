"""The chainer, on a real Valkey."""

import json
import threading

import pytest
from redis import Redis

from worker.audit.chain import LinkedEntry, faults_in, first_previous
from worker.audit.chainer import AT_ONCE, LEASE, link_waiting
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.redis_log import HEAD, LINKED, UNLINKED, read_head
from worker.errors import StoreError
from worker.health.redis_epoch import EPOCH
from worker.store.lease import leased
from worker.store.redis_client import connect, run_script


def act(redis: Redis, subject: str = "5a", *, by: str = "kim") -> None:
    append_entry(redis, audit_entry(Act.VIEW, by=by, verified=False, subject=subject))


def linked(redis: Redis) -> list[LinkedEntry]:
    found = [LinkedEntry.of(fields) for _, fields in redis.xrange(LINKED)]
    assert None not in found
    return [entry for entry in found if entry is not None]


def notes(redis: Redis) -> list[str]:
    entries = [json.loads(entry.entry) for entry in linked(redis)]
    return [entry["details"]["note"] for entry in entries if entry.get("act") == Act.CHAIN]


def subjects(redis: Redis) -> list[str]:
    entries = [json.loads(entry.entry) for entry in linked(redis)]
    return [entry["subject"] for entry in entries if entry.get("act") == Act.VIEW]


def whole(redis: Redis) -> bool:
    entries = linked(redis)
    return not faults_in(entries, after=(0, first_previous(entries[0].chain)))


def test_entries_are_linked_in_the_order_of_the_acts(redis: Redis):
    """A decision would stand before the look that it rests on."""
    for number in range(3):
        act(redis, f"s{number}")
    times = [int(entry_id.partition("-")[0]) for entry_id, _ in redis.xrange(UNLINKED)]
    assert link_waiting(redis) == 3
    assert subjects(redis) == ["s0", "s1", "s2"]
    assert [entry.at_ms for entry in linked(redis)[1:]] == times
    assert [entry.n for entry in linked(redis)] == [1, 2, 3, 4]
    assert notes(redis) == ["the chain begins"]
    assert whole(redis)
    assert redis.xlen(UNLINKED) == 0
    act(redis, "s3")
    link_waiting(redis)
    head = read_head(redis)
    assert (head.n, head.hash) == (5, linked(redis)[-1].hash)
    assert whole(redis)
    assert link_waiting(redis) == 0


def test_more_entries_than_one_script_links(redis: Redis):
    """A busy desk's entries would pile up unlinked."""
    with redis.pipeline(transaction=False) as pipe:
        for number in range(2 * AT_ONCE + 1):
            pipe.xadd(UNLINKED, {"entry": audit_entry(Act.VIEW, by="k", verified=False, subject=f"{number}")})
        pipe.execute()
    assert link_waiting(redis) == 2 * AT_ONCE + 1
    assert subjects(redis) == [str(number) for number in range(2 * AT_ONCE + 1)]
    assert whole(redis)


def test_one_process_links_at_a_time(redis: Redis):
    """Two chainers would link the same entries to one head."""
    act(redis)
    with leased(redis, LEASE) as lease:
        assert lease is not None
        assert link_waiting(redis) == 0
    assert link_waiting(redis) == 1


def test_chainers_at_once_do_no_harm(redis: Redis, redis_url: str):
    """Entries would be lost or doubled whenever several workers do upkeep together."""
    stop = threading.Event()

    def keep_linking() -> None:
        with connect(redis_url) as client:
            while not stop.is_set():
                link_waiting(client)

    threads = [threading.Thread(target=keep_linking) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(100):
        act(redis, str(number))
    stop.set()
    for thread in threads:
        thread.join()
    link_waiting(redis)
    assert subjects(redis) == [str(number) for number in range(100)]
    assert whole(redis)


def test_a_chainer_that_lost_its_lease_or_saw_another_head_links_nothing(redis: Redis):
    """One that slept through its lease would link entries a second time."""
    act(redis)
    link_waiting(redis)
    act(redis)
    (waiting, fields), head = redis.xrange(UNLINKED)[0], read_head(redis)
    keys = [LEASE, HEAD, LINKED, UNLINKED]

    def sent(token: str, seen: str, entry_id: str) -> int:
        args = [token, seen, '["hash", "new"]', "new", entry_id, json.dumps(["entry", fields["entry"]])]
        return run_script(redis, "audit_link", keys=keys, args=args)

    redis.set(LEASE, "mine")
    before = redis.xlen(LINKED)
    assert sent("other", head.hash, waiting) == 0
    assert sent("mine", "older", waiting) == 0
    assert sent("mine", head.hash, "1-1") == 0
    assert (redis.xlen(LINKED), redis.xlen(UNLINKED)) == (before, 1)
    assert sent("mine", head.hash, waiting) == 1
    assert (redis.xlen(LINKED), redis.xlen(UNLINKED)) == (before + 1, 0)


def test_entries_that_were_removed_before_they_were_linked_are_noted(redis: Redis):
    """Whoever may append entries could trim their own act before it is linked, and nobody would know."""
    act(redis, "first")
    link_waiting(redis)
    for number in range(3):
        act(redis, f"hidden {number}")
    redis.xtrim(UNLINKED, maxlen=1, approximate=False)
    redis.xadd(UNLINKED, {"entry": audit_entry(Act.VIEW, by="kim", verified=False, subject="last")}, maxlen=1)
    redis.xtrim(UNLINKED, maxlen=1, approximate=False)
    link_waiting(redis)
    assert subjects(redis) == ["first", "last"]
    assert notes(redis)[1:] == ["entries were removed before they were linked"]
    note = next(json.loads(entry.entry) for entry in linked(redis) if "removed" in entry.entry)
    assert note["details"]["removed"] == 3
    act(redis, "more")
    link_waiting(redis)
    assert len(notes(redis)) == 2


def test_a_deleted_key_of_unlinked_entries_is_noted(redis: Redis):
    """Deleting the key would hide acts where trimming it does not."""
    act(redis)
    act(redis)
    link_waiting(redis)
    act(redis, "hidden")
    redis.delete(UNLINKED)
    act(redis, "last")
    link_waiting(redis)
    assert notes(redis)[1:] == ["unlinked entries were deleted with their key: how many is not known"]
    assert whole(redis)


def test_foreign_entries_stop_no_log(redis: Redis):
    """Anyone who may append could stop the audit log with one odd record."""
    redis.xadd(UNLINKED, {b"entry": b"\xff\xfe", b"more": b"x"})
    redis.xadd(UNLINKED, {"entry": "no JSON"})
    redis.xadd(UNLINKED, {"entry": "[" * 100_000})
    act(redis, "after")
    assert link_waiting(redis) == 4
    assert subjects(redis) == ["after"]
    assert whole(redis)
    assert json.loads(linked(redis)[1].entry)["malformed"] == "entry \\xff\\xfe more x"


def test_an_id_of_the_future_stops_no_act(redis: Redis):
    """Anyone who may append could keep everybody from acting, for good, with one command."""
    act(redis, "before")
    redis.xadd(UNLINKED, {"entry": "{}"}, id="18446744073709551615-18446744073709551615")
    with pytest.raises(StoreError, match="exhausted"):
        act(redis)
    assert link_waiting(redis) == 2
    act(redis, "after")
    assert link_waiting(redis) == 1
    assert subjects(redis) == ["before", "after"]
    assert notes(redis) == ["the chain begins"]
    assert whole(redis)


def test_a_chain_whose_head_is_missing_goes_on(redis: Redis):
    """The log would stop for good, or begin anew beside its own entries."""
    act(redis, "first")
    link_waiting(redis)
    redis.delete(HEAD)
    act(redis, "second")
    link_waiting(redis)
    assert notes(redis) == ["the chain begins", "the head was missing: linked to the newest entry"]
    assert subjects(redis) == ["first", "second"]
    assert whole(redis)


def test_an_empty_redis_begins_another_chain(redis: Redis):
    """Entries of after a loss would claim the place of earlier ones."""
    act(redis)
    link_waiting(redis)
    before = read_head(redis).chain
    redis.flushall()
    redis.hset(EPOCH, mapping={"id": "e2", "lost": "e1", "found": "nothing"})
    act(redis)
    link_waiting(redis)
    assert read_head(redis).chain != before
    assert json.loads(linked(redis)[0].entry)["details"]["redis_lost_epoch"] == "e1"


def test_a_restored_redis_is_noted_in_the_chain(redis: Redis):
    """An auditor could not tell a restored backup from entries that somebody replaced."""
    redis.hset(EPOCH, mapping={"id": "e1"})
    act(redis)
    link_waiting(redis)
    redis.hset(EPOCH, mapping={"id": "e2", "lost": "e1", "found": "older_copy"})
    act(redis)
    link_waiting(redis)
    assert notes(redis)[1:] == ["Redis lost state"]
