"""Look-back for single hashes, in a real Valkey and a real folder: streams that showed material before it was known."""

import json
import signal
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from forked_processes import forking
from logged import a_hash, added, near, row, write
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from scene import Scene

from config.facts import ALLOW
from config.policy.policy import Policy
from models.bank.bank import Bank
from models.bank.delta import BankChange, Delta
from models.bank.entries import ListSpec
from models.pdq.variant_kinds import Variant
from worker.bank.keys import CHANGES, QUARANTINE
from worker.bank.lists_in_force import BankSource, ListsInForce, always
from worker.errors import ObjectStoreError, StoreError
from worker.ingest.registry.registry import stream_key
from worker.lookback.file_search import MOST_FRAMES, HashQuery, SearchPace, files_left, scan
from worker.lookback.jobs import FOUND, JOBS, LEASE, REST, TOLD, WAITING, Job, is_due
from worker.lookback.matches import PART_HITS
from worker.lookback.search import Lookback, look_back
from worker.queue.decisions import decide_incident
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, run_script
from worker.verdictlog.retention import MERGE_MS, keep_log

CRITICAL = "lw:escalations:critical"
SECOND = "1.0.v.2.0a"
"""Key of a segment with media sequence number 2."""
SHOWN = a_hash(1)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "store"))


def of_lists(*specs: ListSpec) -> BankSource:
    """A bank with these lists."""
    delta = Delta().applied(*(BankChange.put_list(spec, at_ms=1, id="1-1") for spec in specs))
    return always(ListsInForce(bank=Bank(delta=delta)))


@pytest.fixture
def looking(redis: Redis, store: ObjectStore, policy: Policy) -> Lookback:
    return Lookback(
        redis=redis,
        store=store,
        policy=policy,
        bank=of_lists(ListSpec(name="known", source="NCMEC", category="A1"), ListSpec(name="stop")),
        deployment="test",
        hours=24,
    )


def publish(redis: Redis, *changes: BankChange) -> None:
    """Appends changes to the bank's stream, as their authors do."""
    for change in changes:
        redis.xadd(CHANGES, {"change": change.to_json(), "by": "kim"})


def look(looking: Lookback) -> None:
    """Runs all due look-backs."""
    while look_back(looking):
        pass


def let_settle(redis: Redis) -> None:
    """Lets the half minute pass after which the final pass checks rows written meanwhile."""
    for job_id, text in redis.hgetall(JOBS).items():
        job = json.loads(str(text))
        redis.hset(JOBS, str(job_id), json.dumps(job | {"arrived_ms": job["arrived_ms"] - 30_000}))


def events(scene: Scene) -> list[dict[str, Any]]:
    return scene.published(CRITICAL)


def test_a_stream_that_showed_new_known_material_is_escalated(
    redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene
):
    """A stream of an hour ago showed abuse that is known only now: nobody would be called."""
    now = now_ms(redis)
    hour = 3_600_000
    # It is watched again by now, so the earlier watch is over.
    redis.hset(stream_key("cam-1"), mapping={"state": "live", "generation": 2})
    write(
        store,
        [
            row(a_hash(5), capture_ms=now - hour),
            row(
                near(SHOWN, 31),
                capture_ms=now - hour + 2000,
                segment_key=SECOND,
                segment_uri="https://cdn.example/2.ts",
            ),
            row(near(SHOWN, 9), capture_ms=now - hour + 4000, segment_key="segment-3"),
            row(near(SHOWN, 32), capture_ms=now - hour + 6000, segment_key="segment-4"),
            row(None, capture_ms=now - hour + 8000),
        ],
        written_ms=now - hour + 10_000,
    )
    write(store, [row(SHOWN, stream_id="cam-2", capture_ms=now - 9000, generation=3)], written_ms=now - 1000)
    write(store, [row(a_hash(7), stream_id="cam-3", capture_ms=now - 9000)], written_ms=now - 900)
    publish(redis, added("known", "case-7", SHOWN, at_ms=now, tags=("series:x",)))
    assert is_due(redis)
    look(looking)
    raised = {event["data"]["stream_id"]: event["data"] for event in events(scene)}
    assert set(raised) == {"cam-1", "cam-2"}
    assert raised["cam-1"]["hits"] == 2
    assert (
        raised["cam-1"]["matches"][0] | {"list": "known", "entry": "case-7", "distance": 9}
        == raised["cam-1"]["matches"][0]
    )
    assert raised["cam-1"]["sample"]["segment"].startswith(f"{SECOND}~")
    assert raised["cam-1"]["sample"]["pdq"] == near(SHOWN, 31).hex()
    assert raised["cam-1"]["segment"] == {"uri": "https://cdn.example/2.ts", "media_sequence": 2}
    known = {"source": "NCMEC", "category": "A1", "max_distance": 31}
    assert known.items() <= raised["cam-1"]["matches"][0].items()
    assert (raised["cam-1"]["stream_state"], "stream_state" in raised["cam-2"]) == ("ended", False)
    assert raised["cam-1"]["metadata"] == {"room": "blue"}
    assert raised["cam-1"]["versions"]["models"] == {"m": "1"}
    assert set(raised["cam-1"]["versions"]["lists"]) >= {"known"}
    assert raised["cam-2"]["generation"] == 3
    assert not is_due(redis)


def test_a_picture_of_another_rendition_is_raised_with_its_place(
    redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene
):
    """People would search the watched segment for what an audit saw elsewhere, or not learn of it: of the same instant
    both renditions have a picture."""
    at = now_ms(redis) - 9000
    write(
        store,
        [
            row(near(SHOWN, 9), capture_ms=at, segment_key=SECOND, segment_uri="https://cdn.example/low/2.ts"),
            row(
                SHOWN,
                capture_ms=at,
                segment_key=SECOND,
                segment_uri="https://cdn.example/high/7.ts",
                rendition="1280x720",
                media_sequence=7,
            ),
            row(
                a_hash(5),
                stream_id="cam-2",
                capture_ms=at,
                segment_key=SECOND,
                segment_uri="https://cdn.example/low/2.ts",
            ),
            row(
                SHOWN,
                stream_id="cam-2",
                capture_ms=at,
                segment_key=SECOND,
                segment_uri="https://cdn.example/high/8.ts",
                rendition="1280x720",
                media_sequence=8,
            ),
        ],
        written_ms=at + 1000,
    )
    publish(redis, added("known", "case-7", SHOWN, at_ms=now_ms(redis)))
    look(looking)
    raised = {event["data"]["stream_id"]: event["data"]["segment"] for event in events(scene)}
    assert raised == {
        "cam-1": {"uri": "https://cdn.example/high/7.ts", "media_sequence": 7, "rendition": "1280x720"},
        "cam-2": {"uri": "https://cdn.example/high/8.ts", "media_sequence": 8, "rendition": "1280x720"},
    }


def test_nothing_is_raised_twice(redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene):
    """A hash that is delivered or searched for again would call moderators for the same match."""
    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 5000)], written_ms=now - 1000)
    change = added("known", "case-7", SHOWN, at_ms=now)
    publish(redis, change)
    look(looking)
    let_settle(redis)
    look(looking)
    assert redis.hlen(JOBS) == 0
    publish(redis, change)
    look(looking)
    let_settle(redis)
    look(looking)
    (event,) = events(scene)
    assert redis.hget(f"lw:incident:{event['data']['incident_id']}", "hits") == "1"
    assert redis.keys("lw:lookback:sought:*") == []


def test_rows_in_a_buffer_are_found_later(redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene):
    """Rows matched just before the hash arrives are written to the log just after: they would be missed."""
    now = now_ms(redis)
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    look(looking)
    write(store, [row(SHOWN, capture_ms=now - 200)], written_ms=now + 9_000)
    assert not is_due(redis)
    assert events(scene) == []
    let_settle(redis)
    assert is_due(redis)
    look(looking)
    assert len(events(scene)) == 1
    assert redis.hlen(JOBS) == 0


def test_a_decision_made_without_the_hash_does_not_cover_it(
    redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene
):
    """A moderator decided without knowing the hash; the picture that is known now would never be reviewed."""
    now = now_ms(redis)
    incident = scene.raise_incident("cam-1", capture_ms=now - 60_000)
    decide_incident(redis, incident, "harmless", by="kim", note="seen", deployment="test")
    write(store, [row(SHOWN, capture_ms=now - 50_000)], written_ms=now - 40_000)
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    look(looking)
    raised = [event for event in events(scene) if event["type"] == "livewarden.escalation.raised.v1"]
    assert len({event["data"]["incident_id"] for event in raised}) == 2
    assert redis.zscore("lw:open:critical", raised[-1]["data"]["incident_id"]) is not None


def test_a_rule_that_held_before_raises_only_new_matches(
    redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene
):
    """A classifier's finding was raised at that time; raising it again would bury new ones."""
    now = now_ms(redis)
    nude = [("m/nsfw", 0.95)]
    write(store, [row(SHOWN, scores=nude, capture_ms=now - 9_000 + ms) for ms in range(4)], written_ms=now - 1000)
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    look(looking)
    assert [event["data"]["rule"] for event in events(scene)] == ["known"]
    assert not redis.exists("lw:escalations:high", "lw:escalations:review")


def test_rules_see_the_signals_of_that_time(
    redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene, policy_of: Callable[[str], Policy]
):
    """A rule over both viewers' reports and matches would stay silent on a stream that was reported then and matches
    now."""
    text = (
        "version: '1'\nrules: [{name: r, when: 'matched(\"known\") && signal(\"reports\") >= 3.0', severity: critical}]"
    )
    now = now_ms(redis)
    write(
        store,
        [
            row(SHOWN, signals=[("reports", 0.0)], capture_ms=now - 9_000),
            row(SHOWN, signals=[("reports", 3.0)], capture_ms=now - 7_000),
        ],
        written_ms=now - 1000,
    )
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    look(replace(looking, policy=policy_of(text)))
    (event,) = events(scene)
    assert (event["data"]["rule"], event["data"]["hits"]) == ("r", 1)


def test_looking_back_interrupts_nothing(redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene):
    """A stream that is harmless now would be interrupted for its content of an hour ago."""
    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 9_000 + ms) for ms in (0, 2000)], written_ms=now - 1000)
    publish(redis, added("stop", "case-7", SHOWN, at_ms=now))
    look(looking)
    assert [event["data"]["rule"] for event in events(scene)] == ["stop"]
    assert not redis.exists("lw:decisions")
    # It is still shown: now it counts together with the earlier match.
    scene.settle("cam-1", scene.hits([now], lists=["stop"]))
    (request,) = scene.published("lw:decisions")
    assert request["type"] == "livewarden.interrupt.requested.v1"


def test_a_list_imported_again_is_not_searched_again(redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene):
    """Each refresh of a list would call moderators again for every match of the day."""
    now = now_ms(redis)
    seen = {"list": "known", "entry": "case-7", "distance": 0, "version": "v1", "tags": []}
    matches = [dict.fromkeys(("video", "seconds", "variant")) | seen]
    write(store, [row(SHOWN, matches=matches, capture_ms=now - 9_000)], written_ms=now - 1000)
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    look(looking)
    assert events(scene) == []
    publish(redis, added("known", "another", SHOWN, at_ms=now))
    look(looking)
    assert {match["entry"] for event in events(scene) for match in event["data"]["matches"]} == {"case-7", "another"}


def test_limits_of_the_list_apply(redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene):
    """A look-back would call moderators for matches that are not raised live."""
    now = now_ms(redis)
    strict = replace(looking, bank=of_lists(ListSpec(name="known", max_distance=10, min_quality=80)))
    rows = [
        row(near(SHOWN, 11), stream_id="far", capture_ms=now - 9000),
        row(near(SHOWN, 10), stream_id="poor", capture_ms=now - 9000, pdq_quality=79),
        row(near(SHOWN, 10), stream_id="found", capture_ms=now - 9000, pdq_quality=80),
    ]
    write(store, rows, written_ms=now - 1000)
    publish(
        redis,
        added("known", "case-7", SHOWN, at_ms=now),
        added("nobody-knows", "case-7", SHOWN, at_ms=now),
        added(ALLOW, "case-7", SHOWN, at_ms=now),
    )
    look(strict)
    assert [event["data"]["stream_id"] for event in events(scene)] == ["found"]


def test_a_transformed_picture_is_found_if_the_list_asks_for_it(
    redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene
):
    """A mirrored copy streamed before its hash was listed would be missed, though a live one is found."""
    now = now_ms(redis)
    turned = [
        {"variant": "rotate", "pdq": a_hash(9), "quality": 90},
        {"variant": "mirror", "pdq": SHOWN, "quality": 90},
    ]
    rows = [
        row(a_hash(3), variants=[], stream_id="cam-1", capture_ms=now - 9000),
        row(None, variants=turned, stream_id="cam-2", capture_ms=now - 9000),
        row(a_hash(4), variants=None, stream_id="cam-3", capture_ms=now - 9000),
        row(near(SHOWN, 3), variants=turned[:1], stream_id="cam-4", capture_ms=now - 9000),
    ]
    write(store, rows, written_ms=now - 1000)
    publish(redis, added("known", "plain", SHOWN, at_ms=now), added("stop", "turned", SHOWN, at_ms=now))
    look(replace(looking, bank=of_lists(ListSpec(name="known"), ListSpec(name="stop", variants=(Variant.MIRROR,)))))
    raised = {(event["data"]["stream_id"], event["data"]["rule"]): event["data"] for event in events(scene)}
    assert set(raised) == {("cam-2", "stop"), ("cam-4", "known"), ("cam-4", "stop")}
    assert [match["variant"] for match in raised["cam-2", "stop"]["matches"]] == ["mirror"]


def test_a_withdrawn_hash_is_not_searched_for(redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene):
    """A hash added by mistake would call moderators after it was withdrawn."""
    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 5000)], written_ms=now - 1000)
    publish(
        redis,
        added("known", "mistake", SHOWN, at_ms=now),
        added("stop", "mistake", SHOWN, at_ms=now),
        BankChange.remove("known", "mistake", at_ms=now),
    )
    publish(redis, BankChange.drop_list("stop", at_ms=now))
    look(looking)
    assert events(scene) == []
    assert redis.llen(WAITING) == 0


@pytest.mark.expected_errors("damaged, and left out")
def test_a_damaged_file_costs_only_its_own_rows(redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene):
    """One file cut short by a full disk would keep all older ones from being searched."""
    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 50_000)], written_ms=now - 40_000)
    file = write(store, [row(SHOWN, stream_id="cam-2", capture_ms=now - 9000)], written_ms=now - 1000)
    store.write(file.path, b"PAR1 and not much more")
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    look(looking)
    assert [event["data"]["stream_id"] for event in events(scene)] == ["cam-1"]


def test_an_unreachable_store_is_waited_for(redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene):
    """An outage of the store would lose a look-back, or make workers poll in a loop."""

    class Away(ObjectStore):
        def names(self, folder: str) -> list[str]:
            raise ObjectStoreError("store: it is away")

    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 5000)], written_ms=now - 1000)
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    assert not look_back(replace(looking, store=Away(store.url)))
    assert not is_due(redis)
    redis.delete(REST)
    assert is_due(redis)
    look(looking)
    assert len(events(scene)) == 1


RUN = """
    from pathlib import Path
    from config.policy.policy import load_policy
    from models.bank.bank import Bank
    from models.bank.delta import Delta
    from models.bank.entries import ListSpec
    from worker.bank.lists_in_force import ListsInForce, always
    from worker.lookback.search import Lookback, look_back
    from worker.store.object_store import ObjectStore
    from worker.store.redis_client import connect

    def main(redis_url, store, policy):
        looking = Lookback(
            redis=connect(redis_url), store=ObjectStore(store), policy=load_policy(Path(policy)),
            bank=always(ListsInForce(bank=Bank(delta=Delta(specs={"known": ListSpec(name="known")})))),
            deployment="test", hours=24,
        )
        while look_back(looking, seconds=0.05):
            pass
"""


def test_a_look_back_killed_at_any_instant_resumes_and_raises_each_match_once(
    redis: Redis, redis_url: str, store: ObjectStore, looking: Lookback, scene: Scene, tmp_path: Path
):
    """A worker that dies during a look-back would lose streams, or call moderators twice."""
    now, streams = now_ms(redis), 120
    for number in range(streams):
        shown = row(SHOWN, stream_id=f"cam-{number}", capture_ms=now - 9_000 - number)
        write(store, [shown, *[row(a_hash(1000 + number))] * 50], written_ms=now - 1000 - number * 5_000)
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    killed = 0
    with forking(textwrap.dedent(RUN)) as fork:
        for wanted in (0, 1, 20, 40, 60, 90):
            child = fork(redis_url, store.url, tmp_path / "policy.yaml")
            while child.poll() is None and redis.xlen(CRITICAL) < wanted:
                pass
            child.kill()
            killed += child.wait() == -signal.SIGKILL
            redis.delete(LEASE)  # its lease expires
    assert killed
    look(looking)
    let_settle(redis)
    look(looking)
    assert sorted(event["data"]["stream_id"] for event in events(scene)) == sorted(
        f"cam-{number}" for number in range(streams)
    )
    assert {event["data"]["hits"] for event in events(scene)} == {1}
    assert redis.keys("lw:pending:*") == []
    assert redis.hlen(FOUND) == 0


def test_files_merged_during_a_look_back_are_not_missed(redis: Redis, store: ObjectStore):
    """A file searched in part and then merged would count as done, or a day be searched again and again."""
    now = now_ms(redis)
    begin = (now - 2 * 3_600_000) // MERGE_MS * MERGE_MS
    older, newer = begin - MERGE_MS, begin + MERGE_MS
    files = {at: write(store, [row(SHOWN)] * 2, written_ms=at) for at in (older, begin, begin + 1, begin + 2, newer)}
    job = Job(id="1", bulk=False, since_ms=0, arrived_ms=now, begun_ms=now)
    assert [file.written_ms for file in files_left(store, job)] == sorted(files, reverse=True)
    half = replace(job, done_ms=begin + 1, done_name=files[begin + 1].name)
    assert [file.written_ms for file in files_left(store, half)] == [begin, older]
    again = write(store, [row(SHOWN)], written_ms=newer + 1)
    assert not keep_log(redis, store, hours=24)
    left = list(files_left(store, half))
    assert [(file.merged, file.written_ms, file.rows) for file in left] == [
        (True, begin + 2, 6),
        (False, older, 2),
    ]
    assert again.name not in {file.name for file in files_left(store, half)}


def test_files_of_one_millisecond_are_all_searched(redis: Redis, store: ObjectStore):
    """If two processes write in the same millisecond, a look-back that resumes between their files would skip one."""
    now = now_ms(redis)
    for number in range(3):
        write(store, [row(a_hash(number))], written_ms=now - 1000)
    job = Job(id="1", bulk=False, since_ms=0, arrived_ms=now, begun_ms=now)
    files = list(files_left(store, job))
    assert len(files) == 3
    wanted = HashQuery.of([added("known", "case-7", SHOWN, at_ms=now)], {"known": ListSpec(name="known")}, {})
    steps = list(scan(store, files, wanted, job, SearchPace(hashes=1, seconds=60.0)))
    assert [list(files_left(store, step.job)) for step in steps] == [files[1:], files[2:], []]


def test_the_final_pass_sees_late_files(redis: Redis, store: ObjectStore):
    """A file with a slow upload would be searched by neither pass."""
    now = now_ms(redis)
    at = {name: write(store, [row(SHOWN)], written_ms=now + ms) for name, ms in (("old", -70_000), ("slow", -50_000))}
    at["new"] = write(store, [row(SHOWN)], written_ms=now + 9_000)
    job = Job(id="1", bulk=False, since_ms=0, arrived_ms=now, begun_ms=now)
    assert list(files_left(store, job)) == [at["slow"], at["old"]]
    assert list(files_left(store, replace(job, last_pass=True))) == [at["new"], at["slow"]]


def test_a_flood_of_matches_is_raised_in_parts(redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene):
    """Recording the matches of a hash on a thousand streams would block Redis, and with it moderation."""
    now = now_ms(redis)
    rows = [row(SHOWN, stream_id=f"cam-{number}", capture_ms=now - 9_000) for number in range(PART_HITS + 1)]
    rows += [row(SHOWN, stream_id="still", capture_ms=now - 9_000 + number) for number in range(3 * MOST_FRAMES)]
    write(store, rows, written_ms=now - 1000)
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    look(looking)
    assert redis.zcard(TOLD) == PART_HITS + 1 + MOST_FRAMES
    assert redis.hlen(FOUND) == 0
    assert redis.keys("lw:pending:*") == []
    raised = {event["data"]["stream_id"] for event in events(scene)}
    assert raised


def test_a_search_that_dies_between_two_parts_finds_the_rest_again(
    redis: Redis, redis_url: str, store: ObjectStore, looking: Lookback, scene: Scene
):
    """A worker that dies while it records many matches would lose all streams but the first five hundred."""

    class Dying(Redis):
        """Loses Redis for good before the second part is written."""

        parts = 0

        def execute_command(self, *args: Any, **options: Any) -> Any:
            if FOUND in args and args[0] == "EVALSHA":
                self.parts += 1
                if self.parts > 1:
                    raise RedisConnectionError("the worker has died")
            return super().execute_command(*args, **options)

    run_script(redis, "lookback_found", keys=[LEASE, JOBS, TOLD, FOUND], args=["none", "", "", 0, "[]"])  # it is known
    now, streams = now_ms(redis), PART_HITS + 3
    shown = [a_hash(number) for number in range(streams)]
    # Written so long ago that the final pass, for rows written meanwhile, does not reach it.
    at_ms = now - 600_000
    rows = [row(shown[number], stream_id=f"cam-{number}", capture_ms=at_ms + number) for number in range(streams)]
    write(store, rows, written_ms=at_ms)
    publish(redis, *(added("known", f"case-{number}", shown[number], at_ms=now) for number in range(streams)))
    with Dying.from_url(redis_url, decode_responses=True) as dying, pytest.raises(StoreError):
        look_back(replace(looking, redis=dying))
    assert 0 < redis.zcard(TOLD) < streams
    redis.delete(LEASE)  # its lease expires
    look(looking)
    let_settle(redis)
    look(looking)
    assert sorted(event["data"]["stream_id"] for event in events(scene)) == sorted(
        f"cam-{number}" for number in range(streams)
    )
    assert {event["data"]["hits"] for event in events(scene)} == {1}


def test_a_match_that_could_not_be_raised_is_raised_later(
    redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene
):
    """A found stream would be forgotten if Redis or the worker fails before it is raised."""
    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 600_000)], written_ms=now - 600_000)
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    redis.set(QUARANTINE, "of something else")
    with pytest.raises(StoreError):
        look_back(looking)
    assert events(scene) == []
    redis.delete(QUARANTINE, LEASE)
    look(looking)
    let_settle(redis)
    look(looking)
    assert [event["data"]["stream_id"] for event in events(scene)] == ["cam-1"]


def test_a_process_that_lost_its_lease_writes_nothing(
    redis: Redis, store: ObjectStore, looking: Lookback, scene: Scene
):
    """A process that slept through its lease would undo the progress of a look-back, or end one that is not done."""

    class Slow(ObjectStore):
        def open(self, path: str) -> BinaryIO:
            redis.set(LEASE, "another's")
            return super().open(path)

    now = now_ms(redis)
    write(store, [row(SHOWN, capture_ms=now - 9_000)], written_ms=now - 1000)
    publish(redis, added("known", "case-7", SHOWN, at_ms=now))
    assert not look_back(replace(looking, store=Slow(store.url)))
    assert redis.get(LEASE) == "another's"
    assert not redis.exists(FOUND, TOLD)
    ((job, _),) = [(json.loads(str(text)), name) for name, text in redis.hgetall(JOBS).items()]
    assert job["done_ms"] is None
    redis.delete(LEASE)
    look(looking)
    assert len(events(scene)) == 1
