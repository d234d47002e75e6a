"""`livewarden people` as users and scripts run it."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import Ran, livewarden
from redis import Redis
from scene import Scene

from config.facts import Severity
from config.schemas import check_event

Run = Callable[..., Ran]


@pytest.fixture
def run(redis_url: str, redis: Redis) -> Run:
    """Runs the command, with the token of whoever runs it."""
    assert redis.ping()

    def run(*arguments: object, token: str = "", **variables: str) -> Ran:
        return livewarden(
            *arguments, environment={"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_TOKEN": token} | variables
        )

    return run


def test_a_roster_from_its_first_lead_to_its_last_person(run: Run, tmp_path: Path) -> None:
    """A deployment could not get a roster by the documented commands."""
    assert "there is no roster" in run("people", "list").out
    first = run("people", "add", "lea", "--role", "lead")
    assert (first.status, first.out.startswith("lwt_"), len(first.out.splitlines())) == (0, True, 1)
    assert "not shown again" in first.err
    lea = first.out.strip()

    file = tmp_path / "kim"
    added = run("people", "add", "kim", "--role", "moderator", "--by", "lea", "--out", file, token=lea)
    assert added.out == f"kim is moderator: the token is in {file}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (record,) = run("people", "add", "zoe", "--role", "auditor", "--by", "lea", "--json", token=lea).records
    assert (record["name"], record["role"], record["added"], record["token"][:4]) == ("zoe", "auditor", True, "lwt_")

    listed = run("people", "list", "--json").records
    assert [(one["name"], one["role"], one["added_by"]) for one in listed] == [
        ("kim", "moderator", "lea"),
        ("lea", "lead", "lea"),
        ("zoe", "auditor", "lea"),
    ]
    assert not any("token" in name or "sha" in name for one in listed for name in one)
    assert "moderator" in run("people", "list").out

    assert run("people", "add", "kim", "--role", "lead", "--by", "lea", token=lea).out == "kim is lead now\n"
    assert run("people", "remove", "lea", "--by", "kim", LIVEWARDEN_TOKEN_FILE=str(file)).status == 0
    own = run("people", "token", "kim", "--out", file, LIVEWARDEN_TOKEN_FILE=str(file))
    assert own.out == f"kim has a new token: the token is in {file}\n"
    assert run("people", "remove", "zoe", "--by", "kim", LIVEWARDEN_TOKEN_FILE=str(file)).status == 0


def test_another_person_s_token_is_not_replaced(run: Run, tmp_path: Path) -> None:
    """A lead who mistypes a file's name would lock a person out, whose token is nowhere else."""
    lea = run("people", "add", "lea", "--role", "lead").out.strip()
    kims, notes = tmp_path / "kim.token", tmp_path / "notes"
    notes.write_text("my notes")
    assert run("people", "add", "kim", "--role", "moderator", "--by", "lea", "--out", kims, token=lea).status == 0
    before = kims.read_text()
    for file in (kims, notes):
        for refused in (
            run("people", "add", "max", "--role", "moderator", "--by", "lea", "--out", file, token=lea),
            run("people", "token", "lea", "--by", "lea", "--out", file, token=lea),
        ):
            assert refused.status == 2
            assert "not overwritten" in refused.message
    assert (kims.read_text(), notes.read_text()) == (before, "my notes")
    assert [one["name"] for one in run("people", "list", "--json").records] == ["kim", "lea"]
    # Whoever comes back gets a new token in the place of the one that is not valid any more.
    run("people", "remove", "kim", "--by", "lea", token=lea)
    again = run("people", "add", "Kim", "--role", "moderator", "--by", "lea", "--out", kims, token=lea)
    assert (again.status, kims.read_text() == before) == (0, False)


def test_what_is_refused_says_why_in_one_line(run: Run, tmp_path: Path) -> None:
    """A lead would read a traceback, or nothing, and an error could print a token."""
    assert "begins with a lead" in run("people", "add", "kim", "--role", "moderator").message
    lea = run("people", "add", "lea", "--role", "lead").out.strip()
    for token, arguments, expected in (
        (lea, ("add", "kim", "--role", "moderator"), "--by LEAD is required"),
        ("", ("add", "kim", "--role", "moderator", "--by", "lea"), "set LIVEWARDEN_TOKEN_FILE or LIVEWARDEN_TOKEN"),
        ("lwt_guess", ("add", "kim", "--role", "moderator", "--by", "lea"), "the token is not lea's"),
        (lea, ("add", "kim", "--role", "boss", "--by", "lea"), "--role 'boss': expected one of"),
        (lea, ("remove", "lea", "--by", "lea"), "lea is the last lead"),
        (lea, ("remove", "kim"), "--by LEAD is required"),
        (lea, ("add", "kim", "--role", "lead", "--by", "lea", "--out", tmp_path), "is a folder"),
    ):
        ran = run("people", *arguments, token=token)
        assert ran.status == 2
        assert expected in ran.message
        assert not ran.out
        assert lea not in ran.err
        assert "guess" not in ran.err
    missing = run("people", "token", "lea", LIVEWARDEN_TOKEN_FILE=str(tmp_path / "none"))
    assert "LIVEWARDEN_TOKEN_FILE: " in missing.message
    assert [one["name"] for one in run("people", "list", "--json").records] == ["lea"]


class TestTheQueueWithARoster:
    def test_a_person_works_with_their_token_and_nobody_without(self, run: Run, scene: Scene, tmp_path: Path) -> None:
        """A moderator could not work by the documented commands, or anybody could in the moderator's name."""
        lea = run("people", "add", "lea", "--role", "lead").out.strip()
        kim = tmp_path / "kim"
        run("people", "add", "kim", "--role", "moderator", "--by", "lea", "--out", kim, token=lea)
        incident = scene.raise_incident("cam-1")
        short = incident[:8]
        commands = (
            ("next", "--by", "kim"),
            ("extend", short, "--by", "kim"),
            ("release", short, "--by", "kim"),
            ("decide", short, "adult_tos", "--by", "kim"),
            ("decide", short, "other_harm", "--by", "kim", "--revise", "--note", "no"),
        )
        for command in commands:
            for token, expected in (("", "needs kim's token"), (lea, "the token is not kim's"), ("x", "not kim's")):
                refused = run("queue", *command, token=token)
                assert (refused.status, refused.out) == (2, "")
                assert expected in refused.message
        assert not scene.redis.hexists(f"lw:incident:{incident}", "holder")
        for command in commands:
            done = run("queue", *command, LIVEWARDEN_TOKEN_FILE=str(kim))
            assert (done.status, done.err) == (0, ""), command
        page = run("queue", "show", short).out
        assert "other_harm, was adult_tos, by kim: no" in page
        assert "unverified" not in page

    def test_who_finds_nothing_learns_what_waits_for_a_lead(self, run: Run, scene: Scene) -> None:
        """A moderator would see an incident in the list, and be told that there is nothing to take."""
        lea = run("people", "add", "lea", "--role", "lead").out.strip()
        kim = run("people", "add", "kim", "--role", "moderator", "--by", "lea", token=lea).out.strip()
        incident = scene.raise_incident("cam-1")
        scene.redis.hset(f"lw:incident:{incident}", "needs_role", "lead")
        nothing = run("queue", "next", "--by", "kim", token=kim)
        assert (nothing.status, nothing.out) == (3, "")
        assert nothing.err == "nothing to take; 1 incident waits for a lead\n"
        assert "for a lead" in run("queue", "list").out
        assert run("queue", "list", "--json").records[0]["needs_role"] == "lead"
        refused = run("queue", "decide", incident, "adult_tos", "--by", "kim", token=kim)
        assert f"kim is moderator: only a lead may hold or decide incident {incident}" in refused.message
        assert incident in run("queue", "next", "--by", "lea", token=lea).out

    def test_a_case_is_shown_on_one_line_each_or_one_event(self, run: Run, scene: Scene) -> None:
        """A script could not read what it has taken, or a person would not learn what else they hold."""
        review, critical = scene.raise_incident("cam-1", Severity.REVIEW), scene.raise_incident("cam-1")
        (event,) = run("queue", "next", "--by", "kim", "--json").records
        check_event(event)
        assert (event["data"]["incident_id"], event["data"]["others"]) == (critical, [review])
        assert event["data"]["case_id"].startswith("case-")
        page = run("queue", "next", "--by", "kim").out
        assert f"of the same case: {review}, review, rule nude" in page
        assert f"you also hold {review}" not in page
        assert review in run("queue", "extend", critical, "--by", "kim").out
        (given,) = run("queue", "release", critical, "--by", "kim", "--json").records
        assert given["others"] == [review]
