"""Commands that a person gives again, since Redis did them and its answer was lost for longer than the retries."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commandline import Ran, livewarden
from redis import Redis
from redis_between import Command, Send, redis_between
from scene import Scene

from config.policy.policy import Flood
from worker.bank.keys import CHANGES, HISTORY
from worker.queue.open_incidents import open_incidents
from worker.store.redis_keys import AUDIT_UNLINKED

HASH = "5a" * 32
OTHER = "3c" * 32

Run = Callable[..., Ran]


class AwayOnceRecorded:
    """Answers until an act is in the audit log, and not to the script that records it, nor to anything after it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._before = redis.xlen(AUDIT_UNLINKED.name)

    def __call__(self, command: Command, send: Send) -> bytes | None:
        if self._redis.xlen(AUDIT_UNLINKED.name) > self._before:
            return None
        answer = send()
        return None if self._redis.xlen(AUDIT_UNLINKED.name) > self._before else answer


def audited(redis: Redis) -> list[dict[str, Any]]:
    return [json.loads(fields["entry"]) for _, fields in redis.xrange(AUDIT_UNLINKED.name)]


@pytest.fixture
def run(redis_url: str, tmp_path: Path) -> Run:
    """Runs `livewarden …`; expects that it succeeds."""

    def command(*arguments: object, url: str = redis_url, status: int | None = 0) -> Ran:
        environment = {
            "LIVEWARDEN_REDIS_URL": url,
            "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
            "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        }
        ran = livewarden(*arguments, environment=environment, folder=tmp_path)
        assert status is None or ran.status == status, ran.err
        return ran

    return command


@pytest.fixture
def entries_of(redis: Redis, redis_url: str, run: Run) -> Callable[..., list[dict[str, Any]]]:
    """Gives a command whose answer is lost, and then again; the entries of the audit log since."""

    def twice(*arguments: object, refused: str = "") -> list[dict[str, Any]]:
        before = len(audited(redis))
        with redis_between(redis_url, AwayOnceRecorded(redis)) as url:
            assert run(*arguments, url=url, status=2).err
        again = run(*arguments, status=2 if refused else 0)
        assert refused in again.err
        return audited(redis)[before:]

    return twice


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        ("evidence hold {} --reason court --by kim", ""),
        ("queue hold {} --minutes 40 --why call --by kim", ""),
        ("queue hand-over {} --to lou --note soon --by kim", ""),
        ("queue ask-help {} same? --by kim", ""),
        ("queue take {} --by kim", ""),
        ("queue next --by lou", ""),
        ("queue decide {} harmless --note seen --by kim", "was decided already: harmless, by kim"),
        ("queue decide {} csea_suspected --second --by kim", "kim judged it: a second person judges now"),
        ("report record {} --authority NCMEC --id 7 --by kim --role moderator", ""),
    ],
)
def test_a_moderator_s_act_is_recorded_once(
    scene: Scene, run: Run, entries_of: Callable[..., list[dict[str, Any]]], command: str, refused: str
) -> None:
    """The audit log would have two acts where a person did one thing."""
    incident = scene.raise_incident("cam-1")
    scene.raise_incident("cam-2")
    if "queue take" not in command:
        run("queue", "take", incident, "--by", "kim")
    assert len(entries_of(*command.format(incident).split(), refused=refused)) == 1


@pytest.mark.parametrize(
    ("first", "command", "refused"),
    [
        ("evidence hold {} --reason court --by kim", "evidence release {} --reason over --by lea", "is not on hold"),
        ("queue hand-over {} --to lou --by kim", "queue hand-over {} --to= --by kim", ""),
        ("queue ask-help {} same? --by kim", "queue ask-help {} --by kim --", ""),
        (
            "queue decide {} harmless --note seen --by kim",
            "queue decide {} adult_tos --revise --note other --by kim",
            "was decided as adult_tos already, by kim",
        ),
    ],
)
def test_an_act_on_an_earlier_one_is_recorded_once(
    scene: Scene,
    run: Run,
    entries_of: Callable[..., list[dict[str, Any]]],
    first: str,
    command: str,
    refused: str,
) -> None:
    """The audit log would have two acts where a person did one thing."""
    incident = scene.raise_incident("cam-1")
    run("queue", "take", incident, "--by", "kim")
    run(*first.format(incident).split())
    words = [*command.format(incident).split(), *([""] if command.endswith("--") else [])]
    assert len(entries_of(*words, refused=refused)) == 1


def test_duplicates_are_decided_by_one_act(
    scene: Scene, run: Run, entries_of: Callable[..., list[dict[str, Any]]]
) -> None:
    """The audit log would have a lead decide the same incidents twice."""
    scene.policy = scene.policy.model_copy(update={"flood": Flood(streams=3)})
    for stream in ("cam-1", "cam-2", "cam-3"):
        scene.settle(stream, scene.hits([1000], lists=["known"]))
    (flood,) = [one.incident_id for one in open_incidents(scene.redis) if one.rule == "hash-flood"]
    decide = ["queue", "duplicates", flood, "harmless", "--note", "a logo", "--by", "lea"]
    (entry,) = entries_of(*decide)
    assert len(entry["details"]["duplicates"]) == 2
    assert [one.rule for one in open_incidents(scene.redis)] == ["hash-flood"]


def test_a_judgement_that_disagrees_is_not_taken_for_the_lead_s_decision(
    scene: Scene, entries_of: Callable[..., list[dict[str, Any]]], run: Run
) -> None:
    """One person would overrule another without having seen what the other judged."""
    incident = scene.raise_incident("cam-1")
    run("queue", "decide", incident, "csea_suspected", "--second", "--by", "kim")
    judged = ["queue", "decide", incident, "harmless", "--note", "a toy", "--by", "lea"]
    (entry,) = entries_of(*judged, refused="lea judged it: a lead decides")
    assert entry["act"] == "judgement"
    run("queue", "take", incident, "--by", "lea")
    run(*judged)
    assert [one["act"] for one in audited(scene.redis)][-2:] == ["take", "decision"]


@pytest.mark.parametrize(
    "command",
    [
        f"add own {OTHER} --id case-8 --by kim --tag harm",
        "create own --change --max-distance 20 --by kim",
        "import own known.csv --by kim",
        "import own large.csv --by kim",
        f"add allow {OTHER} --for own --hours 5 --by lea --role lead",
        f"add confirmed {OTHER} --quality 90 --by mo --role moderator",
        "quarantine own case-7 --hours 2 --reason floods --by lea --role lead",
    ],
)
def test_a_change_of_the_bank_is_recorded_once(
    redis: Redis, run: Run, tmp_path: Path, entries_of: Callable[..., list[dict[str, Any]]], command: str
) -> None:
    """The history would have two acts where a person did one thing, and the list two versions."""
    run("bank", "create", "own")
    run("bank", "add", "own", HASH, "--id", "case-7")
    run("bank", "add", "confirmed", OTHER, "--quality", 90, "--by", "kim", "--role", "moderator")
    (tmp_path / "known.csv").write_text(f"hash,id\n{OTHER},case-8\n")
    (tmp_path / "large.csv").write_text("hash\n" + "".join(f"{secrets.token_hex(32)}\n" for _ in range(5_001)))
    history, changes = redis.xlen(HISTORY), redis.xlen(CHANGES)
    assert len(entries_of("bank", *command.split())) == 1
    assert redis.xlen(HISTORY) == history + 1
    assert redis.xlen(CHANGES) <= changes + 1
