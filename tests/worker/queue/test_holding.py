"""Leases of incidents, and lookup of incidents by the beginning of their IDs, in a real Valkey."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from redis import Redis
from redis_between import before_the_script
from scene import Scene

from config.facts import Severity
from worker.errors import QueueError
from worker.incidents.keys import entries_key, held_key, incident_key
from worker.queue.claims import Claim, take
from worker.queue.decisions import decide_incident
from worker.queue.leases import extend, release
from worker.queue.lookup import find_incident
from worker.queue.open_incidents import open_incidents
from worker.queue.record import describe_incident
from worker.queue.record_fields import LONGEST_HOLD_MS
from worker.queue.revisions import revise
from worker.store.redis_client import connect, now_ms

QUEUES = tuple(f"lw:escalations:{severity}" for severity in Severity)


def holders(redis: Redis) -> set[str]:
    """Consumers that hold entries of the queue."""
    found: set[str] = set()
    for key in QUEUES:
        if redis.exists(key):
            found |= {entry["consumer"] for entry in redis.xpending_range(key, "moderators", "-", "+", 1000)}
    return found


def let_the_lease_end(redis: Redis, incident: str) -> None:
    redis.hset(incident_key(incident), "lease_until_ms", now_ms(redis))


class TestRelease:
    def test_anybody_may_take_it_immediately(self, scene: Scene) -> None:
        """An incident that a moderator cannot judge would be blocked for ten minutes while a colleague waits for
        work."""
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")
        assert take(scene.redis, "bob") is None
        assert release(scene.redis, incident, "ann").entries == 1
        assert holders(scene.redis) == {"unheld"}
        (only,) = open_incidents(scene.redis)
        assert only.holder is None
        taken = take(scene.redis, "bob")
        assert taken is not None
        assert (taken.incident_id, taken.again) == (incident, False)
        assert holders(scene.redis) == {"bob"}

    def test_not_by_others(self, scene: Scene) -> None:
        """Another could take away an incident under review."""
        incident = scene.raise_incident("cam-1")
        with pytest.raises(QueueError, match="is held by nobody"):
            release(scene.redis, incident, "bob")
        take(scene.redis, "ann")
        with pytest.raises(QueueError, match="is held by ann for another 600 s"):
            release(scene.redis, incident, "bob")
        decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test")
        with pytest.raises(QueueError, match="was decided already: adult_tos, by ann"):
            release(scene.redis, incident, "ann")
        with pytest.raises(QueueError, match="'0123' is not known"):
            release(scene.redis, "0123", "ann")

    def test_a_released_incident_still_cannot_be_decided_over_unseen_evidence(self, scene: Scene) -> None:
        """By releasing an incident and then deciding it, a moderator would close evidence that nobody was shown."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        take(scene.redis, "ann")
        release(scene.redis, incident, "ann")
        scene.rise("cam-1", Severity.CRITICAL)
        with pytest.raises(QueueError, match="a higher severity came since: take it again"):
            decide_incident(scene.redis, incident, "harmless", by="ann", note="seen", deployment="test")

    def test_release_decide_and_take_concurrently(self, scene: Scene, redis_url: str) -> None:
        """An incident would be decided twice, or stay held although it is decided."""
        for number in range(15):
            incident = scene.raise_incident(f"cam-{number}")
            take(scene.redis, "ann")

            def as_one(name: str, incident: str = incident) -> Any:
                with connect(redis_url) as redis, suppress(QueueError):
                    if name == "release":
                        return release(redis, incident, "ann").entries
                    if name == "take":
                        return take(redis, "bob")
                    return decide_incident(redis, incident, name, by="ann", deployment="test")

            with ThreadPoolExecutor(4) as pool:
                done = list(pool.map(as_one, ("release", "csea_suspected", "take", "adult_tos")))
            decisions = [one for one in (done[1], done[3]) if one is not None]
            record = describe_incident(scene.redis, incident)
            if isinstance(done[2], Claim):
                # Its new holder decides it, unless it was decided before.
                assert done[0] is not None
                assert (record["state"], record["holder"], decisions) == ("held", "bob", [])
                decide_incident(scene.redis, incident, "adult_tos", by="bob", deployment="test")
            else:
                assert len(decisions) == 1
                assert record["state"] == "decided"
        assert len(scene.published("lw:decisions")) == 15
        assert holders(scene.redis) == set()


class TestExtend:
    def test_only_the_holder_extends(self, scene: Scene) -> None:
        """Another would take the incident of a long recording during its review; or anybody could hold any incident."""
        incident = scene.raise_incident("cam-1")
        with pytest.raises(QueueError, match="is held by nobody"):
            extend(scene.redis, incident, "ann")
        take(scene.redis, "ann", lease_seconds=5)
        before = now_ms(scene.redis)
        lease = extend(scene.redis, incident, "ann")
        assert before + 600_000 <= lease.until_ms <= now_ms(scene.redis) + 600_000
        assert not lease.changed
        with pytest.raises(QueueError, match="is held by ann for another 600 s"):
            extend(scene.redis, incident, "bob")
        assert take(scene.redis, "bob") is None

    def test_two_terminals_do_not_add_up(self, scene: Scene, redis_url: str) -> None:
        """Extending from two terminals would hold an incident for longer than the maximum."""
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")

        def ask(_: int) -> int:
            with connect(redis_url) as redis:
                return extend(redis, incident, "ann").until_ms

        with ThreadPoolExecutor(2) as pool:
            assert max(pool.map(ask, range(2))) <= now_ms(scene.redis) + 600_000

    def test_an_expired_lease_can_be_extended_unless_another_holds_it(self, scene: Scene) -> None:
        """A request a second late would mean starting over; or two moderators would hold the same incident."""
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")
        let_the_lease_end(scene.redis, incident)
        extend(scene.redis, incident, "ann")
        assert take(scene.redis, "bob") is None
        again = take(scene.redis, "ann")
        assert again is not None
        assert again.again
        let_the_lease_end(scene.redis, incident)
        assert take(scene.redis, "bob") is not None
        with pytest.raises(QueueError, match="is held by bob"):
            extend(scene.redis, incident, "ann")

    def test_reports_that_the_incident_became_worse(self, scene: Scene) -> None:
        """A moderator would spend ten minutes on an outdated view of the incident, and then be refused."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        take(scene.redis, "ann")
        scene.rise("cam-1", Severity.CRITICAL)
        assert extend(scene.redis, incident, "ann").changed
        take(scene.redis, "ann")
        assert not extend(scene.redis, incident, "ann").changed


def test_the_lease_expires_during_a_decision(scene: Scene) -> None:
    """Two people would decide one incident, or the second would be given a decided one."""
    incident = scene.raise_incident("cam-1")
    take(scene.redis, "ann")
    let_the_lease_end(scene.redis, incident)
    assert take(scene.redis, "bob") is not None
    with pytest.raises(QueueError, match="is held by bob"):
        decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test")
    let_the_lease_end(scene.redis, incident)
    decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test")
    assert take(scene.redis, "bob") is None


class TestMeanwhile:
    """Actions of another terminal between the read and the write of a decision."""

    def test_the_lease_expires_and_another_takes_it(self, scene: Scene, redis_url: str) -> None:
        """A moderator would review an incident that is already decided."""
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")

        def meanwhile() -> None:
            let_the_lease_end(scene.redis, incident)
            assert take(scene.redis, "bob") is not None

        with before_the_script(redis_url, meanwhile) as redis, pytest.raises(QueueError, match="is held by bob"):
            decide_incident(redis, incident, "adult_tos", by="ann", deployment="test")

    def test_it_becomes_worse(self, scene: Scene, redis_url: str) -> None:
        """A match that arrived in the last millisecond would be closed unseen."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        take(scene.redis, "ann")
        with (
            before_the_script(redis_url, lambda: scene.rise("cam-1", Severity.CRITICAL)) as redis,
            pytest.raises(QueueError, match="a higher severity came since: take it again"),
        ):
            decide_incident(redis, incident, "adult_tos", by="ann", deployment="test")

    @pytest.mark.parametrize("taken", [False, True])
    def test_it_is_released(self, scene: Scene, redis_url: str, taken: bool) -> None:
        """A decision would be lost; or one would be made on an incident that another has just been given."""
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")

        def meanwhile() -> None:
            release(scene.redis, incident, "ann")
            if taken:
                take(scene.redis, "bob")

        with before_the_script(redis_url, meanwhile) as redis:
            if taken:
                with pytest.raises(QueueError, match="is held by bob"):
                    decide_incident(redis, incident, "adult_tos", by="ann", deployment="test")
            else:
                decide_incident(redis, incident, "adult_tos", by="ann", deployment="test")
        assert scene.redis.exists("lw:decisions") == (not taken)


def test_the_record_of_held_incidents_expires_with_the_lease(scene: Scene) -> None:
    """Redis would keep a key for each person who ever reviewed."""
    scene.raise_incident("cam-1")
    take(scene.redis, "ann")
    assert 0 < scene.redis.pttl(held_key("ann")) <= LONGEST_HOLD_MS


class TestFind:
    def test_by_the_beginning_of_an_id(self, scene: Scene) -> None:
        """Moderators would type 24 characters for each decision."""
        incident = scene.raise_incident("cam-1")
        for given in (incident, incident[:4], incident[:9].upper(), f" {incident[:23]}"):
            assert find_incident(scene.redis, given) == incident

    @pytest.mark.parametrize("given", ["", "abc", "xyz1", "0123*", "a" * 25, "\udcff" * 4])
    def test_invalid_beginnings(self, scene: Scene, given: str) -> None:
        """A typo would match some incident."""
        with pytest.raises(QueueError, match="expected its id, or at least the first 4 characters"):
            find_incident(scene.redis, given)

    def test_a_beginning_shared_with_a_decided_incident_is_ambiguous(self, scene: Scene) -> None:
        """A decision meant for yesterday's incident would be made on an open one, or the other way round."""
        decided = scene.raise_incident("cam-1")
        decide_incident(scene.redis, decided, "adult_tos", by="ann", deployment="test")
        opened = f"{decided[:5]}{'0' * 19}"
        scene.redis.hset(incident_key(opened), mapping={"stream_id": "cam-2", "rule": "nude"})
        scene.redis.sadd(f"lw:ids:{opened[:4]}", opened)
        with pytest.raises(QueueError) as caught:
            find_incident(scene.redis, decided[:5])
        text = str(caught.value)
        assert f"2 incidents begin with {decided[:5]}" in text
        assert f"{decided} (stream cam-1, rule known, decided: adult_tos)" in text
        assert f"{opened} (stream cam-2, rule nude, open)" in text
        assert find_incident(scene.redis, decided[:7]) == decided

    def test_reads_only_ids_with_the_same_beginning(self, scene: Scene) -> None:
        """With a year of incidents on record, each command would block Redis for seconds."""
        raised = [scene.raise_incident(f"cam-{number}") for number in range(30)]
        before = scene.redis.info("commandstats")
        assert find_incident(scene.redis, raised[7][:8]) == raised[7]
        after = scene.redis.info("commandstats")

        def calls(name: str) -> int:
            return int(after.get(name, {}).get("calls", 0)) - int(before.get(name, {}).get("calls", 0))

        assert calls("cmdstat_smembers") == 1
        assert calls("cmdstat_hmget") <= 2
        assert calls("cmdstat_scan") + calls("cmdstat_keys") + calls("cmdstat_zrange") == 0

    def test_ids_of_removed_incidents_are_forgotten(self, scene: Scene) -> None:
        """A beginning would be ambiguous because of incidents that are gone, and the index would grow indefinitely."""
        incident = scene.raise_incident("cam-1")
        gone = f"{incident[:4]}{'0' * 20}"
        alike = f"lw:ids:{incident[:4]}"
        scene.redis.sadd(alike, gone)
        assert find_incident(scene.redis, incident[:4]) == incident
        scene.redis.srem(alike, incident)
        take(scene.redis, "ann")
        assert scene.redis.smembers(alike) == {incident}
        assert scene.redis.ttl(alike) > 399 * 86_400


class TestShow:
    def test_open_held_and_decided(self, scene: Scene) -> None:
        """A lead could not look up an incident that another holds, or that is no longer open."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        record = describe_incident(scene.redis, incident)
        assert (record["state"], record["holder"], record["decisions"], record["kept_until"]) == (
            "open",
            None,
            [],
            None,
        )
        assert record["event"] == scene.published(QUEUES[2])[0]
        take(scene.redis, "ann")
        scene.rise("cam-1", Severity.HIGH)
        record = describe_incident(scene.redis, incident)
        assert (record["state"], record["holder"], record["severity"], record["entries"]) == ("held", "ann", "high", 2)
        assert record["changed"]
        assert 590 < record["lease_seconds"] <= 600
        assert [one["severity"] for one in record["published"]] == ["review", "high"]
        take(scene.redis, "ann")
        decide_incident(scene.redis, incident, "adult_tos", by="ann", note="a film", deployment="test")
        revise(scene.redis, incident, "harmless", by="lea", note="a statue", deployment="test")
        record = describe_incident(scene.redis, incident)
        assert (record["state"], record["holder"], record["entries"]) == ("decided", None, 0)
        decisions = [
            (one["outcome"], one["previous_outcome"], one["decided_by"], one["note"]) for one in record["decisions"]
        ]
        assert decisions == [("adult_tos", None, "ann", "a film"), ("harmless", "adult_tos", "lea", "a statue")]
        assert record["kept_until"] is not None
        json.dumps(record)

    def test_takes_nothing_and_does_not_count_as_shown(self, scene: Scene) -> None:
        """Looking up an incident would block its holder; or evidence would be closed that its holder was not shown."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        take(scene.redis, "ann")
        scene.rise("cam-1", Severity.HIGH)
        before = scene.redis.hgetall(incident_key(incident))
        describe_incident(scene.redis, incident)
        assert scene.redis.hgetall(incident_key(incident)) == before

    def test_damaged(self, scene: Scene) -> None:
        """A damaged incident could not be inspected."""
        incident = scene.raise_incident("cam-1")
        scene.redis.hset(incident_key(incident), mapping={"event": "{", "raised_ms": "soon", "decisions": "x"})
        record = describe_incident(scene.redis, incident)
        assert (record["stream_id"], record["event"], record["raised"]) == ("cam-1", None, None)
        for key in (incident_key(incident), entries_key(incident)):
            scene.redis.delete(key)
            scene.redis.set(key, "of another kind")
            assert describe_incident(scene.redis, incident)["stream_id"] in ("cam-1", "unreadable")

    def test_unknown(self, redis: Redis) -> None:
        """An empty page would look like an incident without findings."""
        with pytest.raises(QueueError, match="is not known"):
            describe_incident(redis, "0" * 24)
