"""`livewarden streams` as a platform engineer runs it, against a real Valkey."""

import json
import re
import threading
from pathlib import Path

import pytest
from commandline import livewarden
from envelopes import message
from redis import Redis

from config.settings import Settings
from worker.doctor.diagnosis import State
from worker.doctor.live import examine_live
from worker.ingest.messages.reader import MessageReader
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_statuses
from worker.store.redis_client import now_ms

URL = "https://cdn.example/a/index.m3u8"
LEDGER = ("elapsed", "moderated", "skipped", "failed", "missed", "pending", "unhashable")


@pytest.fixture
def environment(redis_url: str) -> dict[str, str]:
    return {"LIVEWARDEN_REDIS_URL": redis_url}


def test_add_show_list_remove(environment: dict[str, str]):
    """Scripts of platforms read these fields; a renamed one would break them."""
    added = livewarden(
        "streams", "add", "a:1", "--url", URL, "--purpose", "drill", "--risk-prior", "0.5", "--metadata",
        '{"channel": "cooking"}', "--json", environment=environment,
    )  # fmt: skip
    assert (added.status, added.err) == (0, "")
    shown = livewarden("streams", "show", "a:1", "--json", environment=environment)
    assert shown.records == added.records
    (record,) = shown.records
    assert (record["state"], record["url"], record["purpose"]) == ("waiting", URL, "drill")
    assert (record["risk_prior"], record["metadata"]) == (0.5, {"channel": "cooking"})
    assert [record[f"{name}_seconds"] for name in LEDGER] == [0] * len(LEDGER)
    assert record["reasons"] == {}
    listed = livewarden("streams", "list", "--json", environment=environment)
    assert [entry["stream_id"] for entry in listed.records] == ["a:1"]
    removed = livewarden("streams", "remove", "a:1", "--json", environment=environment)
    assert removed.records[0]["state"] == "removed"


def test_signals_of_a_platform(environment: dict[str, str]):
    """A rule over viewers' reports would never see one, or would apply yesterday's to today's broadcast."""
    livewarden("streams", "add", "s", "--url", URL, environment=environment)
    livewarden("streams", "signal", "s", "viewer-reports=1", "age=14.5", environment=environment)
    reported = livewarden("streams", "signal", "s", "viewer-reports=2", "--json", environment=environment)
    assert reported.records[0]["signals"] == {"age": 14.5, "viewer-reports": 2.0}
    assert "viewer-reports" in livewarden("streams", "show", "s", environment=environment).out
    livewarden("streams", "remove", "s", environment=environment)
    assert "no such stream is watched" in livewarden("streams", "signal", "s", "x=1", environment=environment).message
    again = livewarden("streams", "add", "s", "--url", URL, "--json", environment=environment)
    assert again.records[0]["signals"] == {}


def test_the_risk_is_explained_part_by_part(environment: dict[str, str], redis: Redis, tmp_path: Path):
    """An operator would see a stream in the urgent queue, and not why; or by other weights than the workers'."""
    livewarden("streams", "add", "s", "--url", URL, "--risk-prior", "0.2", environment=environment)
    livewarden("streams", "signal", "s", "viewer-reports=2.5", "unknown=7", environment=environment)
    redis.hset(
        "lw:risk:s",
        mapping={
            "score: live open-nsfw/nsfw": "0.9 1",
            "decided: live 5f0123456789012345678901": f"adult_tos {now_ms(redis)}",
        },
    )
    (record,) = livewarden("streams", "show", "s", "--json", environment=environment).records
    assert record["risk"]["value"] == pytest.approx(1 - 0.8 * 0.75 * 0.8, abs=0.001)
    parts = {part["name"]: part for part in record["risk"]["parts"]}
    assert {name: round(part["part"], 2) for name, part in parts.items()} == {
        "risk_prior": 0.2,
        "viewer-reports": 0.25,
        "5f0123456789012345678901": 0.2,
    }
    assert parts["risk_prior"] == {
        "source": "prior",
        "name": "risk_prior",
        "given": 0.2,
        "weight": 1.0,
        "age_seconds": None,
        "half_life_seconds": None,
        "part": 0.2,
    }
    assert (parts["viewer-reports"]["given"], parts["viewer-reports"]["half_life_seconds"]) == (2.5, 1800.0)
    assert 0 <= parts["viewer-reports"]["age_seconds"] < 60
    assert record["signals_reported"].keys() == {"unknown", "viewer-reports"}
    lines = [
        " ".join(line.split()) for line in livewarden("streams", "show", "s", environment=environment).out.split("\n")
    ]
    assert "risk 0.52" in lines
    assert "risk_prior 0.20: 0.2, weight 1" in lines
    (shown,) = [line for line in lines if line.startswith("viewer-reports")]
    assert re.fullmatch(r"viewer-reports 0\.25: 2\.5, weight 0\.5, \d+ s ago, halves in 30 min", shown)
    (shown,) = [line for line in lines if line.startswith("decision")]
    assert re.fullmatch(r"decision 5f012345 0\.20: adult_tos, weight 0\.2, \d+ s ago, halves in 7 d", shown)
    own = tmp_path / "policy.yaml"
    own.write_text(
        "version: 1\nrisk: {signals: {unknown: {weight: 1, scale: 7, half_life_seconds: 1000000}}}\n"
        "rules: [{name: a, when: 'true', severity: review}]\n"
    )
    environment = environment | {"LIVEWARDEN_POLICY_FILE": str(own)}
    (record,) = livewarden("streams", "list", "--json", environment=environment).records
    assert record["risk"]["value"] == pytest.approx(1.0, abs=0.001)
    assert "1.00" in livewarden("streams", "list", environment=environment).out
    own.write_text("broken: [")
    (record,) = livewarden("streams", "show", "s", "--json", environment=environment).records
    assert record["risk"]["value"] == pytest.approx(0.52, abs=0.001)


def test_audits_of_other_renditions_are_shown(environment: dict[str, str], redis: Redis):
    """Nobody would see that a broadcaster's other renditions cannot be had."""
    livewarden("streams", "add", "s", "--url", URL, environment=environment)
    assert "rendition audits" not in livewarden("streams", "show", "s", environment=environment).out
    redis.hset("lw:coverage:s", mapping={"count: rendition_audits": 3, "count: rendition_audits_failed": 2})
    shown = livewarden("streams", "show", "s", environment=environment).out
    assert re.search(r"rendition audits\W+3, and 2 that could not be had", shown)


def test_other_videos_are_shown(environment: dict[str, str], redis: Redis):
    """Nobody would see that viewers may choose what Livewarden does not watch."""
    livewarden("streams", "add", "s", "--url", URL, environment=environment)
    assert "other videos" not in livewarden("streams", "show", "s", environment=environment).out
    redis.hset("lw:coverage:s", "count: other_videos", 3)
    assert re.search(r"other videos\W+3, not watched", livewarden("streams", "show", "s", environment=environment).out)


def test_degraded_marks_are_shown(environment: dict[str, str], redis: Redis):
    """A stream on which a rule cannot be evaluated would look healthy."""
    livewarden("streams", "add", "s", "--url", URL, environment=environment)
    assert "degraded" not in livewarden("streams", "show", "s", environment=environment).out
    redis.hset("lw:stream:s", "degraded", '["rule-failed:level", "stale-list:police"]')
    lines = livewarden("streams", "show", "s", environment=environment).out.splitlines()
    shown = [line.strip(" │").split()[-1] for line in lines if "degraded" in line]
    assert shown == ["rule-failed:level", "stale-list:police"]


@pytest.mark.parametrize(
    "damage",
    [
        {"metadata": "{broken", "degraded": "7", "last_scores": "x", "risk_prior": "much", "generation": "one"},
        {"metadata": "[]", "last_scores": '{"nsfw": "high"}', "degraded": '{"a": 1}', "cursor": "[7]"},
        {"owed_missed_ms": "some", "owed_after_end": "", "missing_member": "x", "missing_since_ms": "x"},
        None,
    ],
)
def test_a_damaged_record_hides_no_other_stream(
    environment: dict[str, str], redis: Redis, damage: dict[str, str] | None
):
    """One damaged record would keep an operator from listing any stream."""
    for name in ("a", "b"):
        livewarden("streams", "add", name, "--url", URL, environment=environment)
    if damage is None:
        redis.delete("lw:stream:a")
        redis.hset("lw:stream:a", "lag_ms", 5)
    else:
        redis.hset("lw:stream:a", mapping=damage)
    for options in ((), ("--json",)):
        listed = livewarden("streams", "list", *options, environment=environment)
        assert (listed.status, listed.err) == (0, "")
    assert [record["stream_id"] for record in listed.records] == ["a", "b"]
    shown = livewarden("streams", "show", "a", environment=environment)
    assert (shown.status, shown.err) == (0, "")


@pytest.mark.parametrize("key", ["lw:stream:a", "lw:coverage:a", "lw:pending:a", "lw:signals:a", "lw:slow:playlist:a"])
@pytest.mark.parametrize("field", [None, "elapsed", "moderated", "missed: unreachable", "reports", "since_ms"])
def test_a_damaged_key_of_one_stream_hides_no_other(
    environment: dict[str, str], redis: Redis, key: str, field: str | None
):
    """One key of one stream would hide all streams, and whether any worker is present."""
    for name in ("a", "b"):
        watch(redis, register(name, URL, url_template="", legal_basis=""))
    if field is None:
        redis.delete(key)
        redis.set(key, "x")
    else:
        redis.hset(key, mapping={field: "{", "slow": "1"})
    damaged, sound = stream_statuses(redis)
    assert (damaged["stream_id"], sound["stream_id"], sound["state"]) == ("a", "b", "waiting")
    assert (key in damaged["damaged"]) == (field is None)
    assert sound["damaged"] == []
    checks = {check.name: check for check in examine_live(redis)}
    assert [checks[name].state for name in ("workers", "beat", "streams")] == [State.FAIL] * 3
    assert "2 of 2" in checks["streams"].found
    listed = livewarden("streams", "list", environment=environment).out.splitlines()
    assert sum("damaged" in line.split() for line in listed) == int(field is None)


def test_tables_for_people(environment: dict[str, str]):
    """Without --json a user could not read the state and the unmoderated time."""
    livewarden("streams", "add", "s", "--url", URL, environment=environment)
    assert "waiting" in livewarden("streams", "show", "s", environment=environment).out
    assert "not seen" in livewarden("streams", "list", environment=environment).out


def test_a_terminal_of_80_columns_shows_state_seconds_and_unwatched_streams(
    environment: dict[str, str], redis: Redis
) -> None:
    """An operator in an incident would read `unrea… http_…` and `unwat… since…` for each stream."""
    for name in ("s", "cooking-with-kim-4711", "a-drill"):
        purpose = "drill" if name == "a-drill" else "live"
        livewarden("streams", "add", name, "--url", URL, "--purpose", purpose, environment=environment)
    redis.hset("lw:stream:s", mapping={"state": "unreachable", "reason": "http_503", "next_poll_ms": "1000"})
    redis.hset("lw:coverage:s", mapping={"elapsed": 12_345_000, "moderated": 12_000_000, "missed: stalled": 345_000})
    ran = livewarden("streams", "list", environment=environment | {"COLUMNS": "80"})
    assert max(len(line) for line in ran.out.splitlines()) <= 80
    words = ran.out.split()
    assert {"unreachable", "http_503", "12345", "12000", "345", "unwatched", "DRILL"} <= set(words)
    header, *lines = ran.out.splitlines()
    ids = "".join(line[: header.index("state")].strip() for line in lines)
    assert "cooking-with-kim-4711" in ids
    assert "…" not in ran.out


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (("add", "a b", "--url", URL), "stream_id"),
        (("add", "a", "--url", "ftp://x"), "url"),
        (("add", "a"), "LIVEWARDEN_URL_TEMPLATE"),
        (("add", "a", "--url", URL, "--metadata", "{"), "metadata"),
        (("add", "a", "--url", URL, "--audience", "private"), "LIVEWARDEN_LEGAL_BASIS"),
        (("show", "nobody"), "nobody"),
        (("signal", "nobody", "x=1"), "nobody"),
        (("signal", "nobody", "x=much"), "'x=much': expected NAME=NUMBER"),
        (("signal", "nobody", "x=nan"), "signals: x: 'nan': expected a number"),
        (("signal", "nobody", "No=1"), "signals: 'No': expected 1 to 64 characters of a-z 0-9 _ . -"),
        (("remove", "nobody"), "nobody"),
    ],
)
def test_an_error_is_one_line(environment: dict[str, str], arguments: tuple[str, ...], reported: str):
    """A platform engineer would get a traceback, or not know which field to correct."""
    ran = livewarden("streams", *arguments, environment=environment)
    assert ran.status == 2
    assert reported in ran.message


def test_refused_messages_are_shown(redis: Redis, redis_url: str, environment: dict[str, str]):
    """A platform engineer would not see why a stream is not watched; or a message could steer the terminal."""
    redis.lpush("intake", message(["no good/id", URL]), b"\x1b[2J[red]hello?token=SECRET", message(task="os.system"))
    MessageReader(redis, Settings(), threading.Event()).read_batch()
    shown = livewarden("streams", "refused", environment=environment | {"COLUMNS": "200"})
    assert (shown.status, shown.err) == (0, "")
    assert "no good/id" in shown.out
    assert "gen7@platform" in shown.out
    assert "[red]hello" in shown.out
    assert "\x1b[2J" not in shown.out
    assert "SECRET" not in shown.out
    newest = livewarden("streams", "refused", "--limit", "1", "--json", environment=environment)
    assert [record["reason"] for record in newest.records] == ["unknown_task"]


def test_refused_messages_name_their_stream(
    redis: Redis, environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """With `purpose: 'party'` on some stream among ten thousand, a platform engineer could not tell which is not
    watched."""
    redis.lpush("intake", message(["stream-4711", URL, None, "party"]))
    MessageReader(redis, Settings(), threading.Event()).read_batch()
    (text,) = redis.lrange("lw:intake:refused", 0, -1)
    assert json.loads(text)["shown"]["stream_id"] == "stream-4711"
    assert "stream-4711" in livewarden("streams", "refused", environment=environment | {"COLUMNS": "120"}).out
    assert "watch_stream of stream-4711 refused" in caplog.text


def test_a_manual_change_is_published(redis: Redis, environment: dict[str, str]):
    """Colleagues would not learn who removed a stream."""
    livewarden("streams", "add", "s", "--url", URL, environment=environment | {"LIVEWARDEN_DEPLOYMENT": "here"})
    livewarden("streams", "remove", "s", environment=environment | {"LIVEWARDEN_DEPLOYMENT": "here"})
    ((_, fields),) = redis.xrange("lw:operations")
    event = json.loads(fields["event"])
    assert (event["source"], event["data"]["changed"]) == ("/livewarden/here", ["unwatched"])
    assert event["data"]["by"] == "command line"
