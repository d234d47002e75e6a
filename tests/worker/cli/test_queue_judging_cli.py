"""Two judges, requests to interrupt and duplicates on the command line."""

import json

import pytest
from commandline import livewarden
from scene import Scene

from config.policy.policy import Flood


@pytest.fixture
def environment(redis_url: str) -> dict[str, str]:
    return {"LIVEWARDEN_REDIS_URL": redis_url, "COLUMNS": "160"}


def test_two_people_judge(scene: Scene, environment: dict[str, str]) -> None:
    """A team without a desk could not judge by two."""
    incident = scene.raise_incident("cam-1")

    def queue(*arguments: str) -> str:
        done = livewarden("queue", *arguments, environment=environment)
        assert done.status == 0, done.err
        return done.out

    said = queue(
        "decide", incident[:6], "csea_apparent", "--by", "ann", "--category", "A1", "--second", "--note", "clear to me"
    )
    assert "your judgement is on record; it waits for a second person" in said
    assert "the platform is asked to interrupt the stream" in said
    assert "nobody: for a second person" in queue("list")
    hidden = queue("show", incident) + queue("show", incident, "--by", "bob") + queue("next", "--by", "bob")
    assert "one person has judged" in hidden
    for part in ("csea_apparent", "clear to me", "A1"):
        assert part not in hidden
    assert "csea_apparent A1, by ann (unverified): clear to me" in queue("show", incident, "--by", "ann")
    answer = json.loads(queue("decide", incident, "harmless", "--by", "bob", "--note", "a doll", "--json"))
    assert (answer["waits"], answer["for"], answer["interrupted"]) == (True, "lead", False)
    queue("decide", incident, "csea_suspected", "--by", "lea", "--category", "B1", "--ask", "suspend")
    page = queue("show", incident)
    for part in ("csea_suspected", "B1", "suspend", "csea_apparent A1, by ann", "harmless, by bob"):
        assert part in page


def test_what_does_not_go_together_is_refused(scene: Scene, environment: dict[str, str]) -> None:
    """A child who needs help would be punished, or a revision wait for somebody who never comes."""
    incident = scene.raise_incident("cam-1")
    done = livewarden(
        "queue", "decide", incident, "child_at_risk", "--by", "ann", "--ask", "suspend", environment=environment
    )
    assert done.status == 2
    assert "a child at risk is safeguarded, not punished" in done.err
    done = livewarden(
        "queue", "decide", incident, "harmless", "--by", "ann", "--revise", "--second", environment=environment
    )
    assert done.status == 2
    assert "does not go with --revise" in done.err


def test_duplicates_are_shown_and_decided(scene: Scene, environment: dict[str, str]) -> None:
    """A lead would decide the same picture once a stream."""
    scene.policy = scene.policy.model_copy(update={"flood": Flood(streams=3)})
    for stream in ("cam-1", "cam-2", "cam-3"):
        scene.settle(stream, scene.hits([1000], lists=["known"]))
    listed = [
        json.loads(line) for line in livewarden("queue", "list", "--json", environment=environment).out.splitlines()
    ]
    (flood,) = [one["incident_id"] for one in listed if one["rule"] == "hash-flood"]
    shown = json.loads(livewarden("queue", "duplicates", flood, "--by", "lea", "--json", environment=environment).out)
    assert len(shown["duplicates"]) == 2
    done = livewarden(
        "queue", "duplicates", flood, "harmless", "--by", "lea", "--note", "a logo", environment=environment
    )
    assert done.out.startswith("2 decided: harmless")
    assert len(scene.decisions()) == 2
