"""The mirror of open cases has what Redis has, after each act, read by what changed alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from people_made import Roster
from redis import Redis
from scene import Scene

from config.facts import Severity
from worker.people.changes import remove_person
from worker.queue.case_mirror import FOLLOWED, CaseMirror, changed_incidents
from worker.queue.case_order import OpenCase
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.leases import release
from worker.queue.open_cases import read_open_cases
from worker.store.key_tracking import KeyTracking, track_keys
from worker.store.redis_client import now_ms

SOON_SECONDS = 5.0


@pytest.fixture
def tracking(redis: Redis) -> Iterator[KeyTracking]:
    with track_keys(redis, FOLLOWED) as tracking:
        yield tracking


@dataclass(kw_only=True)
class Reader:
    """Whoever keeps up with a mirror by what changed."""

    mirror: CaseMirror = field(default_factory=CaseMirror)
    known: dict[str, OpenCase] = field(default_factory=dict)

    def cases(self, at_ms: int) -> list[OpenCase]:
        for case_id, case in self.mirror.drain(at_ms).items():
            self.known.pop(case_id, None)
            if case is not None:
                self.known[case_id] = case
        return list(self.known.values())


def followed(redis: Redis, reader: Reader, tracking: KeyTracking) -> dict[str, OpenCase]:
    """Cases of the mirror once it has seen all that was written before this call."""
    redis.hset("lw:incident:last", "hits", "1")
    seen: set[str] = set()
    while "lw:incident:last" not in seen:
        keys = tracking.changed(SOON_SECONDS)
        assert keys
        reader.mirror.update(redis, keys)
        seen |= keys
    redis.delete("lw:incident:last")
    return plain(reader.cases(now_ms(redis)))


def plain(cases: list[OpenCase]) -> dict[str, OpenCase]:
    """Cases by id, without the time that is left of a lease, which passes between two reads."""
    return {case.case_id: replace(case, lease_seconds=0.0) for case in cases}


def test_it_has_what_redis_has_after_each_act(redis: Redis, scene: Scene, tracking: KeyTracking) -> None:
    """A moderator would see a case that a colleague has decided, or miss one that came."""
    scene.raise_incident("before")
    reader = Reader()
    reader.mirror.read(redis)

    def agrees() -> dict[str, OpenCase]:
        cases = followed(redis, reader, tracking)
        assert cases == plain(read_open_cases(redis)[0])
        return cases

    assert len(agrees()) == 1
    review = scene.raise_incident("cam-1", Severity.REVIEW)
    assert len(agrees()) == 2
    scene.raise_incident("cam-1", capture_ms=9000)
    assert {case.incidents for case in agrees().values()} == {1, 2}
    taken = take(redis, "kim")
    assert taken is not None
    assert [case.holder for case in agrees().values()].count("kim") == 1
    release(redis, taken.incident_id, "kim")
    assert {case.holder for case in agrees().values()} == {None}
    take(redis, "kim")
    agrees()
    decide_incident(redis, review, "adult_tos", by="kim", deployment="test")
    redis.hset(f"lw:incident:{taken.incident_id}", "ended", "silence")
    redis.hset(f"lw:incident:{taken.incident_id}", "raised_ms", "damaged")
    assert len(agrees()) == 2
    redis.delete(f"lw:incident:{taken.incident_id}")
    redis.set(f"lw:incident:{taken.incident_id}", "foreign")
    agrees()


def test_a_lease_ends_without_a_write(redis: Redis, scene: Scene) -> None:
    """A case whose holder went away would look held until somebody writes."""
    scene.raise_incident("cam-1")
    take(redis, "kim", lease_seconds=60)
    reader = Reader()
    now = reader.mirror.read(redis)
    assert [case.holder for case in reader.cases(now + 59_000)] == ["kim"]
    assert [case.holder for case in reader.cases(now + 60_001)] == [None]


def test_who_left_the_roster_holds_nothing(redis: Redis, scene: Scene, tracking: KeyTracking) -> None:
    """A case would stay with somebody who cannot act any more."""
    roster = Roster(redis)
    kim = roster.add("kim")
    scene.raise_incident("cam-1")
    take(redis, kim)
    reader = Reader()
    reader.mirror.read(redis)
    assert [case.holder for case in reader.cases(0)] == ["kim"]
    remove_person(redis, "kim", by=roster.lead)
    assert [case.holder for case in followed(redis, reader, tracking).values()] == [None]


def test_only_incidents_are_read_again() -> None:
    """Each entry of a stream would be read as an incident that does not exist."""
    keys = ["lw:incident:a", "lw:incident:a:entries", "lw:incident:b:streams", "lw:open:high", "lw:incident:"]
    assert changed_incidents(keys) == {"a"}


def test_the_queue_alone_is_read_again_where_it_differs(redis: Redis, scene: Scene) -> None:
    """A case that somebody took out by hand would stay; or every raise be read twice, with all other cases."""
    scene.raise_incident("cam-1")
    reader = Reader()
    reader.mirror.read(redis)
    assert reader.mirror.update(redis, {"lw:open:critical"}) is None
    redis.delete("lw:open:critical")
    assert reader.mirror.update(redis, {"lw:open:critical"}) is not None
    assert reader.cases(0) == []
