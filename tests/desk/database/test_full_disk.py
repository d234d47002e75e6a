"""A desk whose disk is full: who is signed in goes on, what cannot be written is refused, and nothing is lost."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from desk_process import DeskProcess, csrf_in, desk_process
from judging_page import case_of, judging_form
from people_made import Roster
from redis import Redis
from scene import Scene

from config.facts import Severity
from desk.accounts.session_life import ROTATION_MS
from worker.queue.claims import take


@contextmanager
def full_disk(desk: DeskProcess) -> Iterator[None]:
    """Lets the process lengthen no file any more, nor write into one beyond its first page."""
    _, hard = resource.prlimit(desk.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(desk.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.prlimit(desk.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


def grow_older(desk: DeskProcess, by_ms: int) -> None:
    """Makes all sessions older, as if that time had passed since they were used and their tokens made."""
    connection = sqlite3.connect(desk.folder / "desk.db")
    with connection:
        connection.execute("UPDATE sessions SET seen_ms = seen_ms - ?, made_ms = made_ms - ?", (by_ms, by_ms))
        connection.execute("UPDATE exposure SET seen_ms = seen_ms - ?", (by_ms,))
    connection.close()


@pytest.fixture
def desk(redis_url: str, tmp_path: Path) -> Iterator[DeskProcess]:
    with desk_process(redis_url, tmp_path) as running:
        yield running


@pytest.fixture
def kim(desk: DeskProcess, roster: Roster) -> Iterator[httpx.Client]:
    """The browser of the moderator kim."""
    roster.add("kim")
    with desk.signed_in("kim", roster.tokens["kim"]) as client:
        yield client


def test_a_full_disk_keeps_nobody_from_judging(
    desk: DeskProcess, kim: httpx.Client, roster: Roster, scene: Scene, redis: Redis
) -> None:
    """A desk whose disk fills up would answer nothing a minute later, with critical cases waiting."""
    case = case_of(redis, scene.raise_incident("cam-1", Severity.HIGH))
    take(redis, roster.actor("kim"))
    form = judging_form(kim, case)
    grow_older(desk, ROTATION_MS + 60_000)
    with full_disk(desk):
        for path in ("/queue", f"/cases/{case}", f"/cases/{case}/report", "/settings"):
            assert kim.get(path).status_code == 200, path
        refused = kim.post("/settings", data={"csrf": form["csrf"], "theme": "dark"})
        assert (refused.status_code, "Nothing was changed" in refused.text) == (503, True)
        done = kim.post(f"/cases/{case}/decide", data=form | {"outcome": "adult_tos", "note": ""})
        assert done.status_code == 303
        assert redis.xlen("lw:decisions") == 1
    before = dict(kim.cookies)
    assert csrf_in(kim.get("/settings").text) == form["csrf"]
    assert dict(kim.cookies) != before  # replaced, now that it can be written
    assert kim.post("/settings", data={"csrf": form["csrf"], "theme": "dark"}).status_code == 303
    assert "Traceback" not in desk.said
