"""`livewarden queue` as users and scripts run it: real processes, their output and their status."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from commandline import Ran, livewarden
from scene import Scene

from config.facts import ListMatch, Severity
from config.policy.policy import Flood
from config.schemas import check_event
from worker.incidents.imminent_danger import raise_reported_dangers
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.registry.signals import report_signals

Run = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = (sys.executable, "-c", "from worker.cli.main import main; main()", "queue")


@pytest.fixture
def environment(redis_url: str) -> dict[str, str]:
    return {**os.environ, "LIVEWARDEN_REDIS_URL": redis_url, "COLUMNS": "120"}


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs `livewarden queue …` to its end."""

    def go(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return go


def test_next_prints_the_event_on_one_line(scene: Scene, run: Run) -> None:
    """A script could not read the incident that it has taken."""
    incident = scene.raise_incident("cam-1")
    done = run("next", "--by", "ann", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    event = json.loads(done.stdout)
    check_event(event)
    assert event["data"]["incident_id"] == incident


def test_an_empty_queue_is_status_3(scene: Scene, run: Run) -> None:
    """A script could not tell an empty queue from a failure."""
    done = run("next", "--by", "ann", "--wait", "0.1", "--json")
    assert (done.returncode, done.stdout) == (3, "")


def test_the_text_output_shows_the_findings(scene: Scene, run: Run) -> None:
    """A moderator would not see what an incident is about, or would take a drill for real."""
    incident = scene.raise_incident("cam-1", purpose="drill")
    text = run("next", "--by", "ann").stdout
    for part in (incident, "critical", "cam-1", "DRILL", "known", "list known, entry 7, distance 4"):
        assert part in text


def test_the_text_output_describes_a_match(scene: Scene, run: Run) -> None:
    """A moderator would compare the stream with a rotated picture, or not know that the match is from a video."""
    match = ListMatch(
        list="known", entry="v/3", distance=9, video="v", seconds=12.5, variant="mirror", tags=("A1", "\x1b[2J")
    )
    (hit,) = scene.hits([1000], lists=["known"])
    scene.settle("cam-1", (replace(hit, matches=(match,)),))
    text = " ".join(run("next", "--by", "ann").stdout.split())
    assert "list known, entry v/3, distance 9, mirrored, video v at 12.5 s, tags A1, \\u001b[2J" in text


def test_the_text_output_lists_the_streams_of_a_flood(scene: Scene, run: Run) -> None:
    """A lead would see one stream of many, and a moderator would not see that the incident is for a lead."""
    scene.policy = scene.policy.model_copy(update={"flood": Flood(streams=2)})
    for stream in ("cam-1", "cam-2"):
        scene.settle(stream, scene.hits([1000], lists=["known"]))
    (_, listed) = run("list").stdout.splitlines()[1:]
    for part in ("cam-2 and 1 more", "hash-flood"):
        assert part in listed
    assert [json.loads(line)["streams"] for line in run("list", "--json").stdout.splitlines()] == [1, 2]
    assert "cam-1" in run("next", "--by", "lea").stdout
    text = run("next", "--by", "lea", "--another").stdout
    for part in ("2: cam-1, cam-2", "a lead", "hash-flood", "list known, entry 7, distance 4"):
        assert part in text


def test_the_text_output_asks_for_the_phone(scene: Scene, run: Run) -> None:
    """A moderator would look for a picture while somebody is in danger."""
    watch(scene.redis, register("cam-1", "https://cdn.example/a.m3u8", url_template="", legal_basis=""))
    report_signals(scene.redis, "cam-1", {"imminent-danger": 1.0})
    raise_reported_dangers(scene.redis, deployment="test", policy=scene.policy)
    text = run("next", "--by", "ann").stdout
    assert "the platform's emergency contact or the police, now" in text
    assert "imminent-danger, 20" in text
    assert "picture" not in text


def test_decide_and_refuse(scene: Scene, run: Run) -> None:
    """A decision would be lost, or a refused one look accepted."""
    incident = scene.raise_incident("cam-1")
    done = run("decide", incident, "harmless", "--by", "ann", "--note", "a cat", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == scene.published("lw:decisions")[0]
    again = run("decide", incident, "csea_apparent", "--by", "bob")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == f"livewarden: incident {incident} was decided already: harmless, by ann\n"


def test_two_terminals(scene: Scene, redis_url: str) -> None:
    """A moderator could only get back an incident of a dead terminal, extend, release, look it up or correct it by
    typing 24 characters each time."""
    environment = {"LIVEWARDEN_REDIS_URL": redis_url}

    def queue(*arguments: str, status: int = 0) -> Ran:
        ran = livewarden("queue", *arguments, environment=environment)
        assert ran.status == status, ran
        return ran

    incident, other = scene.raise_incident("cam-1"), scene.raise_incident("cam-2", Severity.REVIEW)
    short = incident[:6]
    queue("next", "--by", "ann")
    again = queue("next", "--by", "ann").out
    assert "you hold this one already" in again
    assert incident in again
    another = queue("next", "--by", "ann", "--another").out
    assert other in another
    assert f"you also hold {incident}" in another
    queue("next", "--by", "ann", "--another", status=3)

    (extended,) = queue("extend", short, "--by", "ann", "--json").records
    assert (extended["incident_id"], extended["changed"]) == (incident, False)
    assert f"{incident} is yours until 20" in queue("extend", short, "--by", "ann").out
    assert "is held by ann for another" in queue("extend", short, "--by", "bob", status=2).message
    (shown,) = queue("show", short, "--json").records
    assert (shown["state"], shown["holder"]) == ("held", "ann")
    page = queue("show", short).out
    for part in (incident, "cam-1", "critical", "list known, entry 7, distance 4", "held by ann", "raised, critical"):
        assert part in page

    assert "1 entry of it waits for whoever takes it next" in queue("release", short, "--by", "ann").out
    assert queue("release", other[:6], "--by", "ann", "--json").records == [
        {"incident_id": other, "released": True, "entries": 1, "others": []}
    ]
    assert incident in queue("next", "--by", "bob").out
    assert "--note" in queue("decide", short, "harmless", "--by", "bob", status=2).message
    queue("decide", short, "harmless", "--by", "bob", "--note", "a film\x1b[2J")
    assert (
        "was decided already: harmless, by bob" in queue("decide", short, "adult_tos", "--by", "ann", status=2).message
    )
    revision = ("decide", short, "adult_tos", "--by", "lea", "--revise")
    assert "--note: a revision needs a reason" in queue(*revision, status=2).message
    assert queue(*revision, "--note", "no film").out == f"{incident} on cam-1 (known): adult_tos, was harmless\n"
    queue("decide", short, "csea_apparent", "--by", "lea", "--was", "adult_tos", "--note", "x", status=2)
    page = queue("show", short).out
    for part in (
        "decided: adult_tos",
        "harmless, by bob (unverified): a film\\u001b[2J",
        "adult_tos, was harmless, by lea (unverified): no film",
    ):
        assert part in page
    assert "expected its id, or at least the first 4" in queue("show", "12", status=2).message


def test_list_shows_complete_ids(scene: Scene, run: Run) -> None:
    """A lead could not see what waits, or could not copy its ID."""
    raised = [scene.raise_incident(f"a-stream-with-quite-a-long-name-{n}", Severity.REVIEW) for n in range(3)]
    text = run("list").stdout
    assert all(incident in text for incident in raised)
    lines = run("list", "--json").stdout.splitlines()
    assert [json.loads(line)["incident_id"] for line in lines] == raised


def test_list_of_an_empty_queue(scene: Scene, run: Run) -> None:
    """An empty table would look like a failure."""
    assert run("list").stdout == "no open incidents\n"
    assert run("list", "--json").stdout == ""


@pytest.mark.parametrize("arguments", [("--json",), ()])
def test_watch_until_ctrl_c(scene: Scene, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    """An operator could not follow the queue, or Ctrl-C would end it with a traceback."""
    incident = scene.raise_incident("cam-1")
    command = [*COMMAND, "watch", "--from-start", *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        assert incident in watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        _, errors = watch.communicate(timeout=30)
    assert (watch.returncode, errors) == (0, "")


def test_no_server_is_one_line(environment: dict[str, str]) -> None:
    """A moderator would see a traceback when Redis is away."""
    away = {**environment, "LIVEWARDEN_REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        [*COMMAND, "next", "--by", "ann"], env=away, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("livewarden: Redis: ")
    assert done.stderr.count("\n") == 1
