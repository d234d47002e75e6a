"""Altered pictures, as operators and leads get them."""

import json
from typing import Any

import pytest
from evidence_items import Pair, promote, sealed_item
from redis import Redis

from worker.audit.chainer import link_waiting
from worker.audit.entries import Act, append_entry, audit_entry
from worker.errors import StoreError
from worker.events.operations import OPERATIONS
from worker.evidence.altered import (
    EVENT,
    MOST_ENTRIES,
    SEARCHED,
    altered_entry,
    publish_altered,
    publish_found,
    read_published,
)
from worker.evidence.item import new_ref

INCIDENT = "5a" * 12


@pytest.fixture
def ref(redis: Redis) -> str:
    """A picture of an incident."""
    item = sealed_item(Pair(), 1)
    promote(redis, INCIDENT, item)
    return item.ref


def found(redis: Redis, *refs: str, by: str = "kim") -> None:
    """A person comes upon altered pictures."""
    for ref in refs:
        append_entry(redis, altered_entry(ref, by=by, verified=True))
    link_waiting(redis)


def published(redis: Redis) -> list[dict[str, Any]]:
    return [json.loads(fields["event"]) for _, fields in redis.xrange(OPERATIONS)]


def test_a_picture_is_published_once_whoever_finds_it(redis: Redis, ref: str) -> None:
    """Nobody but the person who found it would know; or operators get an event at each try to open it."""
    found(redis, ref)
    assert publish_found(redis, deployment="test") == 1
    found(redis, ref, by="lea")
    redis.delete(SEARCHED)
    assert publish_found(redis, deployment="test") == 0
    (event,) = published(redis)
    assert (event["type"], event["subject"]) == (EVENT, ref)
    assert event["data"] == {"ref": ref, "incident_id": INCIDENT}


def test_other_entries_publish_nothing(redis: Redis, ref: str) -> None:
    """Operators would be sent to look for a picture that was seen, or that never was."""
    append_entry(redis, audit_entry(Act.VIEW, by="kim", verified=True, subject=ref, shown="clear", reason="altered"))
    redis.xadd("lw:audit:unlinked", {"entry": "no JSON"})
    found(redis, new_ref(), "../" + ref)
    assert publish_found(redis, deployment="test") == 0
    assert published(redis) == []


@pytest.mark.parametrize("position", ["no ID", "9999999999999-0"])
def test_a_damaged_position_begins_anew(redis: Redis, ref: str, position: str) -> None:
    """No altered picture would be published any more."""
    redis.set(SEARCHED, position)
    found(redis, ref)
    assert publish_found(redis, deployment="test") == 1


def test_a_long_log_is_searched_part_by_part(redis: Redis, ref: str) -> None:
    """A step of upkeep would take as long as the log is; or the rest of the log be left out."""
    for _ in range(MOST_ENTRIES):
        append_entry(redis, audit_entry(Act.TAKE, by="kim", verified=True, subject="5a"))
    found(redis, ref)
    counts = [publish_found(redis, deployment="test") for _ in range(3)]
    assert counts == [0, 1, 0]


def test_what_could_not_be_published_is_published_later(redis: Redis, ref: str) -> None:
    """A Redis that is full for a while would cost the event for good."""
    found(redis, ref)
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreError):
            publish_found(redis, deployment="test")
    finally:
        redis.config_set("maxmemory", 0)
    assert publish_found(redis, deployment="test") == 1


def test_events_are_read_on_from_where_a_reader_was(redis: Redis, ref: str) -> None:
    """Leads would be told the same again, or one damaged event hide the others."""
    for text in (EVENT, f'{{"type": "{EVENT}"}}', f'["{EVENT}"]', "{}"):
        redis.xadd(OPERATIONS, {"event": text})
    redis.xadd(OPERATIONS, {"other": "x"})
    publish_altered(redis, ref, incident=INCIDENT, deployment="test")
    pictures, after = read_published(redis, after="0-0")
    assert [one.incident for one in pictures] == [INCIDENT]
    assert read_published(redis, after=after) == ([], after)
