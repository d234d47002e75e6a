"""The moderators' queue in a real Valkey."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest
from redis import Redis
from scene import Scene

from config.facts import Severity
from worker.errors import QueueError, StoreError
from worker.events.cloudevent import rfc3339
from worker.queue.claims import RECHECK_SECONDS, Claim, anything_free, take, take_or_wait
from worker.queue.decisions import decide_incident
from worker.queue.leases import release
from worker.queue.open_incidents import open_incidents
from worker.queue.queue_entries import follow
from worker.queue.trimming import GroupProgress, trim, trim_bound
from worker.store.redis_client import connect

CRITICAL, HIGH, REVIEW = (f"lw:escalations:{severity}" for severity in Severity)
LATE_SECONDS = RECHECK_SECONDS + 2.0
"""Bound on a busy machine for a wait that is checked again in time; one that is not takes 5 s."""


def pending(redis: Redis, key: str) -> dict[str, str]:
    """Maps entry IDs to their consumers."""
    return {entry["message_id"]: entry["consumer"] for entry in redis.xpending_range(key, "moderators", "-", "+", 1000)}


def taken_by(redis: Redis, by: str) -> str | None:
    taken = take(redis, by)
    return None if taken is None else taken.incident_id


class TestTake:
    def test_an_incident_held_before_an_upgrade_is_given_again_when_it_rises(self, scene: Scene) -> None:
        """Its holder would be asked to take it again, and be given another incident."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        assert taken_by(scene.redis, "ann") == incident
        scene.redis.delete(*scene.redis.keys("lw:held:*"))
        scene.raise_incident("cam-2", Severity.REVIEW)
        for stream in ("cam-1", "cam-2"):
            scene.rise(stream, Severity.CRITICAL)
        scene.redis.zadd("lw:open:critical", {incident: 0})
        assert taken_by(scene.redis, "ann") == incident

    def test_a_decided_incident_is_given_to_nobody(self, scene: Scene) -> None:
        """A damaged record would come back to the head of the queue indefinitely."""
        decided, sound = scene.raise_incident("cam-1"), scene.raise_incident("cam-2", Severity.HIGH)
        scene.redis.hset(f"lw:incident:{decided}", "outcome", "harmless")
        assert taken_by(scene.redis, "ann") == sound

    @pytest.mark.parametrize(
        "damage",
        [
            {"": "of another kind"},
            {"event": "{"},
            {"event": None},
            {"raised_ms": None, "event": None, "severity": "loud", "hits": "x", "stream_id": None},
            {"holder": "zoe", "lease_until_ms": "soon", "delivered": "x", "raised_ms": "x"},
        ],
    )
    def test_a_damaged_incident_does_not_block_others(self, scene: Scene, damage: dict[str, str | None]) -> None:
        """Nobody could take or list any incident, since the most urgent one comes first."""
        damaged, sound = scene.raise_incident("cam-1"), scene.raise_incident("cam-2", Severity.HIGH)
        key = f"lw:incident:{damaged}"
        for field, text in damage.items():
            if not field:
                scene.redis.delete(key)
                scene.redis.set(key, str(text))
            elif text is None:
                scene.redis.hdel(key, field)
            else:
                scene.redis.hset(key, field, text)
        taken = [taken_by(scene.redis, by) for by in ("ann", "bob", "cyd")]
        assert sound in taken
        assert taken.index(None) == (2 if damaged in taken else 1)
        listed = {one.incident_id: one for one in open_incidents(scene.redis)}
        assert set(listed) == {damaged, sound}
        assert listed[sound].severity is Severity.HIGH
        assert listed[damaged].severity is Severity.CRITICAL, "as it is in the queue"

    def test_most_urgent_first_then_oldest(self, scene: Scene) -> None:
        """A moderator would review nudity while known material waits."""
        review = scene.raise_incident("cam-1", Severity.REVIEW)
        high = scene.raise_incident("cam-2", Severity.HIGH)
        old = scene.raise_incident("cam-3")
        new = scene.raise_incident("cam-4")
        scene.redis.zadd("lw:open:critical", {old: 1, new: 2})
        assert [taken_by(scene.redis, by) for by in "abcde"] == [old, new, high, review, None]

    def test_gives_the_newest_event(self, scene: Scene) -> None:
        """A moderator would judge the state of an incident that has changed since."""
        incident = scene.raise_incident("cam-1")
        taken = take(scene.redis, "ann")
        assert taken is not None
        assert taken.incident_id == incident
        event = json.loads(taken.event)
        assert event["data"].pop("lease_until") == rfc3339(taken.lease_until_ms)
        assert event["data"].pop("others") == []
        assert event["data"]["times"].pop("taken") == rfc3339(taken.taken_ms)
        assert event == scene.published(CRITICAL)[-1], "the published event has no lease"
        assert "\n" not in taken.event

    def test_two_moderators_get_different_incidents(self, scene: Scene, redis_url: str) -> None:
        """Two people would do the same work, and both would be exposed to what only one has to see."""
        raised = {scene.raise_incident(f"cam-{number}") for number in range(12)}

        def one(number: int) -> str | None:
            with connect(redis_url) as redis:
                return taken_by(redis, f"moderator-{number}")

        with ThreadPoolExecutor(16) as pool:
            taken = list(pool.map(one, range(16)))
        assert taken.count(None) == 4
        assert {incident for incident in taken if incident is not None} == raised

    def test_a_held_incident_is_given_again(self, scene: Scene) -> None:
        """A moderator whose terminal died would be given another incident, and the first would be blocked for ten
        minutes."""
        incident = scene.raise_incident("cam-1")
        first = take(scene.redis, "ann")
        scene.raise_incident("cam-2")
        again = take(scene.redis, "ann")
        assert first is not None
        assert again is not None
        assert (first.incident_id, first.again, again.incident_id, again.again) == (incident, False, incident, True)
        assert json.loads(again.event)["id"] == json.loads(first.event)["id"]
        assert taken_by(scene.redis, "bob") != incident
        assert take(scene.redis, "cyd") is None

    def test_giving_again_renews_the_lease(self, scene: Scene) -> None:
        """Another moderator would be given an incident that was shown a moment ago."""
        scene.raise_incident("cam-1")
        take(scene.redis, "ann", lease_seconds=300)
        assert take(scene.redis, "ann") is not None
        (only,) = open_incidents(scene.redis)
        assert only.lease_seconds > 500

    def test_a_second_incident_can_be_taken_on_request(self, scene: Scene) -> None:
        """A lead could not hold two incidents to compare their streams."""
        raised = {scene.raise_incident("cam-1"), scene.raise_incident("cam-2")}
        first = take(scene.redis, "ann", another=True)
        second = take(scene.redis, "ann", another=True)
        assert first is not None
        assert second is not None
        assert {first.incident_id, second.incident_id} == raised
        assert (first.others, second.others) == ((), (first.incident_id,))
        assert take(scene.redis, "ann", another=True) is None

    def test_a_more_urgent_incident_comes_before_a_held_one(self, scene: Scene) -> None:
        """Known material would wait until the only moderator has decided on nudity."""
        review = scene.raise_incident("cam-1", Severity.REVIEW)
        assert taken_by(scene.redis, "ann") == review
        critical = scene.raise_incident("cam-2")
        taken = take(scene.redis, "ann")
        assert taken is not None
        assert (taken.incident_id, taken.others) == (critical, (review,))
        decide_incident(scene.redis, critical, "harmless", by="ann", note="seen", deployment="test")
        assert taken_by(scene.redis, "ann") == review

    def test_an_incident_lost_or_decided_is_not_given_as_held(self, scene: Scene) -> None:
        """A moderator would be shown an incident as their own that another has taken since, or that is decided."""
        first, second = scene.raise_incident("cam-1"), scene.raise_incident("cam-2")
        assert {taken_by(scene.redis, "ann"), taken_by(scene.redis, "bob")} == {first, second}
        held = next(one.incident_id for one in open_incidents(scene.redis) if one.holder == "ann")
        scene.redis.hset(f"lw:incident:{held}", "lease_until_ms", 1)
        assert taken_by(scene.redis, "cyd") == held
        third = scene.raise_incident("cam-3")
        assert taken_by(scene.redis, "ann") == third
        decide_incident(scene.redis, third, "harmless", by="ann", note="seen", deployment="test")
        assert take(scene.redis, "ann") is None

    def test_an_expired_lease_lets_another_take_the_incident(self, scene: Scene) -> None:
        """An incident taken by someone who went home would never be reviewed."""
        incident = scene.raise_incident("cam-1")
        assert take(scene.redis, "ann", lease_seconds=0) is not None
        assert taken_by(scene.redis, "bob") == incident
        assert set(pending(scene.redis, CRITICAL).values()) == {"bob"}

    def test_new_entry_is_given_to_the_holder(self, scene: Scene) -> None:
        """The holder of an incident would not learn that it became worse, or a second person would be shown it too."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        assert taken_by(scene.redis, "ann") == incident
        scene.rise("cam-1", Severity.HIGH)
        assert taken_by(scene.redis, "bob") is None
        assert set(pending(scene.redis, HIGH).values()) == {"ann"}
        again = take(scene.redis, "ann")
        assert again is not None
        assert json.loads(again.event)["data"]["severity"] == "high"
        assert take(scene.redis, "ann", another=True) is None

    def test_a_new_entry_of_a_held_incident_does_not_jump_the_queue(self, scene: Scene) -> None:
        """An update of a less severe incident would come before known material."""
        risen = scene.raise_incident("cam-1", Severity.REVIEW)
        assert taken_by(scene.redis, "ann") == risen
        scene.rise("cam-1", Severity.HIGH)
        critical = scene.raise_incident("cam-2")
        assert [taken_by(scene.redis, "ann") for _ in range(2)] == [critical, critical]
        decide_incident(scene.redis, critical, "csea_apparent", by="ann", deployment="test")
        assert taken_by(scene.redis, "ann") == risen

    def test_held_incidents_with_new_entries_come_first(self, scene: Scene) -> None:
        """The holder of two incidents of one severity could not see an update of the second, and so never decide on
        it."""
        one, other = (scene.raise_incident(f"cam-{number}", Severity.REVIEW) for number in range(2))
        assert [taken_by(scene.redis, "ann")] == [one]
        assert take(scene.redis, "ann", another=True) is not None
        scene.rise("cam-0", Severity.HIGH)
        scene.rise("cam-1", Severity.HIGH)
        given = [taken_by(scene.redis, "ann") for _ in range(3)]
        assert set(given) == {one, other}
        assert given[0] != given[1]

    def test_entries_of_an_expired_lease_move_to_the_new_holder(self, scene: Scene) -> None:
        """Some entries of an incident would stay with a moderator who has left, and could not be trimmed."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        take(scene.redis, "ann", lease_seconds=0)
        scene.rise("cam-1", Severity.HIGH)
        assert taken_by(scene.redis, "bob") == incident
        assert {*pending(scene.redis, HIGH).values(), *pending(scene.redis, REVIEW).values()} == {"bob"}

    def test_entries_beyond_the_drained_reach_the_holder(self, scene: Scene) -> None:
        """A backlog would leave incidents that nobody can take."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        # As if a take had read nothing new yet: the group stands at the beginning.
        scene.redis.xgroup_setid(REVIEW, "moderators", "$")
        assert taken_by(scene.redis, "ann") == incident
        assert set(pending(scene.redis, REVIEW).values()) == {"ann"}

    def test_foreign_entries_do_not_block_the_queue(self, scene: Scene) -> None:
        """One malformed entry would block the queue for everybody."""
        for fields in (
            {"event": "{"},
            {"event": "[]"},
            {"event": '{"data": 5}'},
            {"x": "y"},
            {"event": '{"data": {}}'},
        ):
            scene.redis.xadd(CRITICAL, fields)
        incident = scene.raise_incident("cam-1")
        assert taken_by(scene.redis, "ann") == incident
        assert len(pending(scene.redis, CRITICAL)) == 1

    def test_many_held_incidents_do_not_hide_a_free_one(self, scene: Scene) -> None:
        """With over a hundred incidents under review, the next one would not be found."""
        raised = [scene.raise_incident(f"cam-{number}") for number in range(120)]
        taken = [take(scene.redis, "ann", another=True) for _ in range(120)]
        assert {one.incident_id for one in taken if one is not None} == set(raised)
        last = scene.raise_incident("cam-last")
        assert taken_by(scene.redis, "bob") == last

    def test_empty_queue(self, redis: Redis) -> None:
        """On a new deployment `next` would fail instead of reporting an empty queue."""
        assert take(redis, "ann") is None

    def test_a_reader_may_create_the_group_before_the_first_event(self, scene: Scene) -> None:
        """A platform's own group would keep moderators from seeing what is published."""
        scene.redis.xgroup_create(CRITICAL, "platform", id="0", mkstream=True)
        incident = scene.raise_incident("cam-1")
        assert taken_by(scene.redis, "ann") == incident
        assert len(pending(scene.redis, CRITICAL)) == 1


@dataclass(kw_only=True)
class Waiting:
    """A moderator who waits for an incident on a separate connection."""

    taken: list[Claim | None]
    ended: float = 0.0
    """Time at which the wait ended, by the monotonic clock."""


@pytest.fixture
def waiting(redis: Redis, redis_url: str) -> Callable[[], AbstractContextManager[Waiting]]:
    """Starts a wait as bob. The block is entered once Redis holds the read, and the wait must end when the block is
    left."""

    @contextmanager
    def begin() -> Iterator[Waiting]:
        who = Waiting(taken=[])

        def wait() -> None:
            with connect(redis_url) as client:
                who.taken.append(take_or_wait(client, "bob", wait_seconds=60))
            who.ended = time.monotonic()

        thread = threading.Thread(target=wait)
        thread.start()
        while not any(client["cmd"] == "xread" for client in redis.client_list()):
            assert thread.is_alive()
        yield who
        thread.join(60)

    return begin


class TestWait:
    def test_wakes_when_something_is_published(
        self, scene: Scene, waiting: Callable[[], AbstractContextManager[Waiting]]
    ) -> None:
        """A waiting moderator would not be notified."""
        with waiting() as bob:
            incident = scene.raise_incident("cam-1", Severity.HIGH)
        assert [one.incident_id for one in bob.taken if one is not None] == [incident]

    def test_sees_an_incident_that_is_released(
        self, scene: Scene, waiting: Callable[[], AbstractContextManager[Waiting]]
    ) -> None:
        """An urgent incident would wait five seconds although a moderator is waiting for it."""
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")
        with waiting() as bob:
            release(scene.redis, incident, "ann")
            released = time.monotonic()
        assert [one.incident_id for one in bob.taken if one is not None] == [incident]
        assert bob.ended - released < LATE_SECONDS

    def test_sees_an_incident_whose_lease_has_expired(
        self, scene: Scene, waiting: Callable[[], AbstractContextManager[Waiting]]
    ) -> None:
        """An urgent incident would wait after its holder has left; and each wait would write to Redis's disk once a
        second."""
        incident = scene.raise_incident("cam-1")
        lease_seconds = 1.5
        take(scene.redis, "ann", lease_seconds=lease_seconds)
        over = time.monotonic() + lease_seconds
        calls = len(scene.redis.keys("lw:once:*"))
        with waiting() as bob:
            pass
        assert [one.incident_id for one in bob.taken if one is not None] == [incident]
        assert bob.ended - over < LATE_SECONDS
        assert len(scene.redis.keys("lw:once:*")) - calls == 2, "the first look, and the one that takes"

    @pytest.mark.parametrize("damage", [{"event": "{"}, {"outcome": "harmless"}])
    def test_is_not_woken_by_an_incident_that_nobody_can_take(self, scene: Scene, damage: dict[str, str]) -> None:
        """One damaged record would make every waiting moderator write to Redis's disk endlessly."""
        incident = scene.raise_incident("cam-1")
        assert anything_free(scene.redis, "ann")
        scene.redis.hset(f"lw:incident:{incident}", mapping=damage)
        assert not anything_free(scene.redis, "ann")
        assert take(scene.redis, "bob") is None

    def test_ends_without_an_incident(self, redis: Redis) -> None:
        """`next --wait` would hang on a quiet night."""
        assert take_or_wait(redis, "ann", wait_seconds=0.01) is None


class TestFollow:
    def test_from_start(self, scene: Scene) -> None:
        """An operator could not see past events."""
        scene.raise_incident("cam-1", Severity.REVIEW)
        scene.rise("cam-1", Severity.HIGH)
        events = follow(scene.redis, from_start=True)
        assert {next(events).stream_key for _ in range(2)} == {HIGH, REVIEW}

    def test_from_now(self, scene: Scene, redis_url: str) -> None:
        """`watch` would repeat yesterday's events, or miss those published between two reads."""
        scene.raise_incident("cam-old")
        seen: list[str] = []

        def watch() -> None:
            with connect(redis_url) as redis:
                events = follow(redis, from_start=False)
                seen.extend(json.loads(next(events).event)["subject"] for _ in range(3))

        watching = threading.Thread(target=watch)
        watching.start()
        while not any(client["cmd"] == "xread" for client in scene.redis.client_list()):
            assert watching.is_alive()
        for name in ("cam-1", "cam-2", "cam-3"):
            scene.raise_incident(name)
        watching.join(60)
        assert seen == ["cam-1", "cam-2", "cam-3"]

    def test_takes_nothing(self, scene: Scene) -> None:
        """Watching the queue would take incidents away from moderators."""
        incident = scene.raise_incident("cam-1")
        next(follow(scene.redis, from_start=True))
        assert taken_by(scene.redis, "ann") == incident


class TestOpenIncidents:
    def test_shows_holders(self, scene: Scene) -> None:
        """A lead could not see what waits, for how long, and who works on it."""
        scene.raise_incident("cam-1", Severity.REVIEW)
        held = scene.raise_incident("cam-2", purpose="drill")
        take(scene.redis, "ann")
        first, second = open_incidents(scene.redis)
        assert (first.incident_id, first.holder, first.purpose, first.severity) == (held, "ann", "drill", "critical")
        assert 0 < first.lease_seconds <= 600
        assert (second.stream_id, second.holder, second.lease_seconds, second.hits) == ("cam-1", None, 0, 3)

    def test_an_expired_lease_has_no_holder(self, scene: Scene) -> None:
        """A lead would wait for someone who went home, although anybody could take the incident."""
        scene.raise_incident("cam-1")
        take(scene.redis, "ann", lease_seconds=0)
        (only,) = open_incidents(scene.redis)
        assert (only.holder, only.lease_seconds) == (None, 0)

    def test_leaves_out_decided_incidents(self, scene: Scene) -> None:
        """Decided incidents would look as if they were waiting."""
        incident = scene.raise_incident("cam-1")
        decide_incident(scene.redis, incident, "harmless", by="ann", note="seen", deployment="test")
        assert open_incidents(scene.redis) == []


class TestTrim:
    def test_a_slow_second_group_loses_nothing(self, scene: Scene) -> None:
        """A platform that reads slowly would never see some escalations."""
        scene.redis.xgroup_create(CRITICAL, "platform", id="0", mkstream=True)
        for number in range(3):
            incident = scene.raise_incident(f"cam-{number}")
            decide_incident(scene.redis, incident, "harmless", by="ann", note="seen", deployment="test")
        take(scene.redis, "ann")  # skips the decided ones
        assert trim(scene.redis, held_from={}) == 0
        read = scene.redis.xreadgroup("platform", "p", {CRITICAL: ">"}, count=2)
        ((_, entries),) = read
        scene.redis.xack(CRITICAL, "platform", entries[0][0])
        assert trim(scene.redis, held_from={}) == 1
        scene.redis.xack(CRITICAL, "platform", entries[1][0])
        assert trim(scene.redis, held_from={}) == 1
        assert scene.redis.xlen(CRITICAL) == 4

    def test_undecided_incidents_stay(self, scene: Scene) -> None:
        """An incident under review would lose its entries."""
        scene.raise_incident("cam-1")
        take(scene.redis, "ann")
        assert trim(scene.redis, held_from={}) == 0

    def test_a_queue_without_moderators_is_not_trimmed(self, scene: Scene) -> None:
        """Events published before the first moderator connects would be lost."""
        scene.redis.xadd(CRITICAL, {"event": "{}"})
        scene.redis.xgroup_create(CRITICAL, "platform", id="$")
        assert trim(scene.redis, held_from={}) == 0

    def test_decisions_that_nobody_reads_are_kept(self, scene: Scene) -> None:
        """A platform that connects late would miss decisions."""
        decide_incident(
            scene.redis, scene.raise_incident("cam-1"), "harmless", by="ann", note="seen", deployment="test"
        )
        assert trim(scene.redis, held_from={}) == 0
        assert scene.redis.xlen("lw:decisions") == 1

    @pytest.mark.parametrize(
        ("groups", "bound"),
        [
            ([], None),
            ([("5-1", None)], "5-2"),
            ([("5-1", "3-0")], "3-0"),
            ([("5-1", None), ("0-0", None)], "0-1"),
            ([("9-0", None), ("10-0", "9-5")], "9-1"),
            ([("5-0", "7-0")], "5-1"),
        ],
    )
    def test_bound(self, groups: list[tuple[str, str | None]], bound: str | None) -> None:
        """Entries that a group has not acknowledged would be trimmed."""
        progress = [GroupProgress(last_delivered_id=last, oldest_pending_id=oldest) for last, oldest in groups]
        assert trim_bound(progress) == bound


def test_a_name_that_cannot_be_recorded_takes_nothing(redis: Redis) -> None:
    """An incident would be held by nobody whom others can read."""
    with pytest.raises(QueueError, match=r"--by: .*expected a name of 1 to 100"):
        take(redis, "a\x1b[31m")


def test_a_missing_server_is_one_clear_error() -> None:
    """A moderator would see a traceback when Redis is away."""
    with pytest.raises(StoreError, match="Redis: "), connect("redis://127.0.0.1:1/0") as redis:
        take(redis, "ann")


@pytest.mark.parametrize("url", ["http://:hunter2@example", "redis://worker:hunter2/3@example/0"])
def test_bad_url_does_not_show_the_password(url: str) -> None:
    """A typo in a setting would write the password into a log."""
    with pytest.raises(StoreError, match="LIVEWARDEN_REDIS_URL: expected redis://") as caught:
        connect(url)
    assert "hunter2" not in str(caught.value)
