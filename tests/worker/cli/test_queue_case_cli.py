"""`livewarden queue take|hold|hand-over|ask-help|list`: a terminal does with a case what the desk does."""

from collections.abc import Callable

import pytest
from commandline import Ran, livewarden
from scene import Scene

from config.facts import Severity
from config.schemas import check_event
from worker.incidents.keys import incident_key

Queue = Callable[..., Ran]


@pytest.fixture
def queue(redis_url: str) -> Queue:
    """Runs `livewarden queue …`; expects its status."""

    def run(*arguments: str, status: int = 0, **more: str) -> Ran:
        ran = livewarden("queue", *arguments, environment={"LIVEWARDEN_REDIS_URL": redis_url, "COLUMNS": "160", **more})
        assert ran.status == status, ran.err
        return ran

    return run


def test_a_case_from_hand_to_hand(scene: Scene, queue: Queue) -> None:
    """A moderator at a terminal could not take what was handed over on the desk, nor hand it over."""
    scene.raise_incident("cam-1")
    review = scene.raise_incident("cam-2", Severity.REVIEW)
    case_id = str(scene.redis.hget(incident_key(review), "case"))
    (event,) = queue("take", case_id, "--by", "ann", "--json").records
    check_event(event)
    assert event["data"]["incident_id"] == review
    assert "is held by ann" in queue("take", review[:8], "--by", "bob", status=2).message
    assert "is held by ann" in queue("take", case_id[:12], "--by", "bob", status=2).message
    (held,) = queue("hold", review, "--by", "ann", "--minutes", "30", "--why", "a call", "--json").records
    assert (held["case_id"], held["incidents"], held["changed"]) == (case_id, [review], [])
    assert "yours until" in queue("hold", case_id, "--by", "ann", "--minutes", "60", "--why", "a call").out
    assert (
        "expected 1 to 65 min"
        in queue("hold", case_id, "--by", "ann", "--minutes", "66", "--why", "x", status=2).message
    )
    assert queue("ask-help", case_id, "the same room?", "--by", "ann").out == f"{case_id} asks for help\n"
    handed = queue("hand-over", case_id, "--by", "ann", "--to", "bob", "--note", "the second half")
    assert "waits for bob until" in handed.out
    text = queue("list").out
    for part in ("held by ann for", "kept: a call", "waits for bob", "ann asks: the same room?"):
        assert part in " ".join(text.split())
    shown = " ".join(queue("show", review).out.split())
    for part in ("a call", "by ann to bob: the second half", "ann asks: the same room?"):
        assert part in shown
    taken = queue("take", case_id, "--by", "bob").out
    assert "from ann: the second half" in taken
    assert review in taken
    assert queue("ask-help", case_id, "", "--by", "bob").out == f"{case_id} asks for nothing\n"
    assert "is held by bob" in queue("hand-over", case_id, "--by", "ann", "--to", "", status=2).message
    queue("hand-over", case_id, "--by", "bob", "--to", "cyd")
    assert queue("hand-over", case_id, "--by", "bob", "--to", "").out == f"{case_id} is handed over to nobody\n"


@pytest.mark.parametrize("digits", [24, 8])
def test_a_case_is_extended_and_released_by_its_id(scene: Scene, queue: Queue, digits: int) -> None:
    """A person who took a case by its ID could not give it back, nor keep it, by the same ID."""
    incidents = [scene.raise_incident("cam-1"), scene.raise_incident("cam-1", Severity.REVIEW)]
    case_id = str(scene.redis.hget(incident_key(incidents[0]), "case"))
    named = case_id[: len("case-") + digits]
    queue("take", named, "--by", "ann")
    (extended,) = queue("extend", named, "--by", "ann", "--json").records
    assert (extended["case_id"], sorted(extended["incidents"])) == (case_id, sorted(incidents))
    assert f"{case_id} is yours until 20" in queue("extend", named.upper(), "--by", "ann").out
    assert "is held by ann for another" in queue("release", named, "--by", "bob", status=2).message
    given_back = queue("release", named, "--by", "ann").out
    assert given_back.startswith(f"{case_id} is held by ann no more: ")
    assert all(incident in given_back for incident in incidents)
    assert "is held by nobody" in queue("release", named, "--by", "ann", status=2).message
    queue("take", named, "--by", "bob")
    (released,) = queue("release", named, "--by", "bob", "--json").records
    assert (released["case_id"], released["lease_until"]) == (case_id, None)
    assert sorted(released["incidents"]) == sorted(incidents)


@pytest.mark.parametrize("command", ["show", "decide"])
def test_a_case_in_place_of_an_incident_names_its_incidents(scene: Scene, queue: Queue, command: str) -> None:
    """A person who has the ID of a case at hand would be told that it is no ID."""
    incidents = [scene.raise_incident("cam-1"), scene.raise_incident("cam-1", Severity.REVIEW)]
    case_id = str(scene.redis.hget(incident_key(incidents[0]), "case"))
    more = ("harmless", "--by", "ann", "--note", "a cat") if command == "decide" else ()
    for named in (case_id, case_id[:12]):
        message = queue(command, named, *more, status=2).message
        assert message.startswith(f"{case_id} is a case: name one of its incidents: ")
        assert all(incident in message for incident in incidents)
    assert "no open case begins with case-0000" in queue(command, "case-0000", *more, status=2).message
    assert "is not known" in queue(command, f"case-{'0' * 24}", *more, status=2).message
    assert "expected its id" in queue(command, "case-12", *more, status=2).message


def test_the_list_is_in_the_order_of_takes(scene: Scene, queue: Queue) -> None:
    """A lead would see another head of the queue than the next person is given."""
    over = scene.raise_incident("cam-1")
    scene.redis.hset(incident_key(over), "ended", "silence")
    review, high = scene.raise_incident("cam-2", Severity.REVIEW), scene.raise_incident("cam-3", Severity.HIGH)
    later = scene.raise_incident("cam-2", Severity.HIGH)
    records = queue("list", "--json").records
    assert [one["incident_id"] for one in records] == [later, review, high, over]
    assert [one["live"] for one in records] == [True, True, True, False]
    assert {one["longest_wait_seconds"] for one in records} == {300, 900}
    assert not any(one["past_wait"] for one in records)
    scene.redis.hset(incident_key(review), "raised_ms", 5)
    text = " ".join(queue("list", LIVEWARDEN_WAIT_HIGH_SECONDS="60").out.split())
    assert text.count("past its wait of 0:01:00") == 2
    assert text.count("ended") == 1
    assert queue("next", "--by", "ann", "--json").records[0]["data"]["incident_id"] == later


def test_waits_are_the_deployment_s(scene: Scene, queue: Queue) -> None:
    """A team that sets its own waits would be given cases by the usual ones."""
    review = scene.raise_incident("cam-1", Severity.REVIEW)
    for stream in ("cam-2", "cam-3"):
        scene.raise_incident(stream)
    scene.redis.set("lw:queue:turns", 3)
    scene.redis.zadd("lw:open:review", {review: float(scene.redis.zscore("lw:open:review", review) or 0) - 20_000})
    scene.redis.zrem("lw:queue:order", review)  # a take puts it in the place of that time
    (event,) = queue("next", "--by", "ann", "--json", LIVEWARDEN_WAIT_REVIEW_SECONDS="10").records
    assert event["data"]["incident_id"] == review


def test_what_nobody_is_given_is_said(scene: Scene, queue: Queue) -> None:
    """A lead who looks at an empty list would believe that nothing is wrong."""
    damaged = scene.raise_incident("cam-1")
    scene.redis.hset(incident_key(damaged), "event", "{")
    scene.redis.xadd("lw:escalations:high", {"event": "{"})
    queue("next", "--by", "ann", status=3)
    ran = queue("list")
    assert damaged in ran.out
    assert ran.err.splitlines() == [
        "1 entry of the queue was set aside: no escalation event",
        "1 open incident has a damaged record: nobody is given it",
    ]
    assert "no event that can be shown" in queue("take", damaged, "--by", "ann", status=2).message


def test_an_unknown_case_is_one_line(queue: Queue) -> None:
    """A typo would end in a traceback."""
    assert "is not known" in queue("take", f"case-{'0' * 24}", "--by", "ann", status=2).message
    assert "no open case begins with case-0000" in queue("take", "case-0000", "--by", "ann", status=2).message
    assert "case 'case-12': expected its id" in queue("take", "case-12", "--by", "ann", status=2).message
    assert "is not known" in queue("take", "0" * 24, "--by", "ann", status=2).message
    assert "expected its id" in queue("hold", "x", "--by", "ann", "--minutes", "5", "--why", "x", status=2).message
