"""The stream of events behind an open queue page, and the act that takes the next case."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

import httpx
import pytest
from desk_server import RunningDesk, csrf_of
from people_made import Roster
from redis import Redis
from scene import Scene
from sqlalchemy import create_engine

from config.facts import Severity
from desk.accounts.accounts import SignedIn
from desk.cases.queue_filter import QueueFilter
from desk.database.connection import DeskDatabase
from desk.errors import DeskDatabaseError
from desk.live.open_streams import MOST_OF_PERSON
from desk.live.queue_feed import QueueFeed
from desk.pages.queue_events import StreamPace, queue_stream
from desk.preferences.preference_store import PreferenceStore
from desk.preferences.preferences import Preferences
from desk.web.services import DeskServices
from worker.people.actor import Role
from worker.people.changes import add_person, remove_person
from worker.queue.case_order import LongestWaits
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.store.redis_client import connect

SOON_SECONDS = 10.0
QUICK = StreamPace(beat=0.05, look=0.0, longest=SOON_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Event:
    name: str
    data: str


def events(answer: httpx.Response) -> Iterator[Event]:
    name, data = "", []
    for line in answer.iter_lines():
        if not line:
            yield Event(name=name, data="\n".join(data))
            name, data = "", []
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)


@contextmanager
def opened(client: httpx.Client, query: str = "") -> Iterator[Iterator[Event]]:
    with client.stream("GET", f"/queue/events{query}", timeout=SOON_SECONDS) as answer:
        assert answer.status_code == 200
        yield events(answer)


def until(found: Iterator[Event], name: str, text: str = "", *, without: str = "\0") -> Event:
    return next(one for one in found if one.name == name and text in one.data and without not in one.data)


@pytest.fixture
def lead(running: RunningDesk, roster: Roster) -> httpx.Client:
    """The browser of the lead lea."""
    return running.signed_in("lea", roster.tokens["lea"])


@pytest.fixture
def services(running: RunningDesk) -> DeskServices:
    found: DeskServices = running.app.state.services
    return found


def test_a_page_is_sent_all_of_it_at_first(lead: httpx.Client, scene: Scene) -> None:
    """What came between loading the page and its first event would be missing."""
    scene.raise_incident("cam-1")
    with lead.stream("GET", "/queue/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no", "nginx would keep events until its buffer is full"
        head, rows, beat = (event for event, _ in zip(events(answer), range(3), strict=False))
    assert "<title>1 critical, 1 open · Queue · Livewarden</title>" in head.data
    assert (rows.name, "cam-1" in rows.data) == ("rows", True)
    assert (beat.name, "now_ms" in json.loads(beat.data)) == ("beat", True)


def test_what_changes_is_sent_as_it_does(lead: httpx.Client, scene: Scene, roster: Roster) -> None:
    """A colleague's take or decision would be seen when the page is loaded again."""
    with opened(lead) as found:
        until(found, "rows", "Nothing waits")
        incident = scene.raise_incident("cam-1")
        until(found, "", "1 open.")
        until(found, "rows", "cam-1")
        take(scene.redis, roster.add("noor"))
        until(found, "rows", "noor")
        decide_incident(scene.redis, incident, "adult_tos", by=roster.actor("noor"), deployment="test")
        until(found, "rows", "Nothing waits")


def test_a_page_is_sent_what_its_filter_shows(lead: httpx.Client, scene: Scene) -> None:
    """Cases would come into a page of leads' cases, or of one stream, that do not belong there."""
    scene.raise_incident("cam-1")
    with opened(lead, "?find=cam-2") as found:
        assert "cam-1" not in until(found, "rows").data
        scene.raise_incident("cam-2", Severity.HIGH)
        assert "cam-1" not in until(found, "rows", "cam-2").data


def test_what_does_not_change_is_not_sent(services: DeskServices, lead: httpx.Client, scene: Scene) -> None:
    """Every open page would be sent 50 rows every two seconds."""
    scene.raise_incident("cam-1")
    services.feed.current()
    names = [event.partition(b"\n")[0] for event in collected(services, lead_of(services, lead), at_least=8)]
    assert [name for name in names if name != b"event: beat"] == [names[0], b"event: rows"]


def test_a_slow_page_costs_the_others_nothing(
    running: RunningDesk, lead: httpx.Client, scene: Scene, roster: Roster
) -> None:
    """One laptop on a bad line would keep new cases from everybody."""
    host, _, port = running.origin.removeprefix("http://").partition(":")
    cookie = "; ".join(f"{name}={value}" for name, value in lead.cookies.items())
    with socket.create_connection((host, int(port))) as deaf, opened(lead) as found:
        deaf.sendall(f"GET /queue/events HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
        for number in range(5):
            scene.raise_incident(f"cam-{number}")
            until(found, "rows", f"cam-{number}")


def test_a_person_has_few_streams(lead: httpx.Client, running: RunningDesk, roster: Roster) -> None:
    """One browser would take all connections of the desk."""
    kim = running.signed_in("kim", roster.add("kim") and roster.tokens["kim"])
    with ExitStack() as open_now:
        # A stream that nobody reads on would be closed.
        kept = [open_now.enter_context(opened(client)) for client in [kim, *[lead] * MOST_OF_PERSON]]
        for found in kept:
            until(found, "beat")
        assert lead.get("/queue/events").status_code == 429
        until(kept[0], "beat")


class TestEndings:
    def test_a_session_that_ended_ends_its_streams(self, services: DeskServices, lead: httpx.Client) -> None:
        """Who signed out would go on seeing new cases in a window that was left open."""
        person = lead_of(services, lead)
        assert b"signed-out" not in b"".join(collected(services, person, at_least=6))
        lead.post("/sign-out", data={"csrf": csrf_of(lead)})
        assert collected(services, person, at_least=10_000)[-1] == b"event: signed-out\ndata: \n\n"

    def test_who_left_the_roster_sees_no_more(
        self, services: DeskServices, running: RunningDesk, roster: Roster
    ) -> None:
        """A person who was removed would go on seeing what comes."""
        roster.add("kim")
        person = lead_of(services, running.signed_in("kim", roster.tokens["kim"]))
        remove_person(roster.redis, "kim", by=roster.lead)
        assert collected(services, person, at_least=10_000)[-1].startswith(b"event: signed-out")

    def test_another_role_is_another_page(self, services: DeskServices, running: RunningDesk, roster: Roster) -> None:
        """An auditor who was a moderator would go on seeing the queue."""
        roster.add("kim")
        person = lead_of(services, running.signed_in("kim", roster.tokens["kim"]))
        add_person(roster.redis, "kim", Role.AUDITOR, by=roster.lead)
        assert collected(services, person, at_least=10_000)[-1].startswith(b"event: signed-out")

    def test_redis_away_is_said(self, services: DeskServices, lead: httpx.Client) -> None:
        """A page would look current while nothing can reach it."""
        person = lead_of(services, lead)
        with connect("redis://127.0.0.1:1/0", retries=0) as away:
            feed = QueueFeed(away, LongestWaits())
            (beat,) = collected(replace(services, feed=feed), person, at_least=1)
            feed.close()
            feed.join()
        assert json.loads(beat.split(b"data: ")[1]) == {"lost_seconds": 0}

    def test_a_database_that_hangs_holds_up_nobody_else(self, services: DeskServices, lead: httpx.Client) -> None:
        """Every request of everybody would wait for it, at each page of the queue that comes back."""
        person, asked, answers = lead_of(services, lead), threading.Event(), threading.Event()

        class Hanging(PreferenceStore):
            def of(self, name: str) -> Preferences:
                asked.set()
                assert answers.wait(SOON_SECONDS), "the desk waited for its database"
                raise DeskDatabaseError("the desk's database: TimeoutError")

        hanging = replace(services, preferences=Hanging(DeskDatabase(create_engine("sqlite://"))))

        async def read() -> bytes:
            stream = queue_stream(hanging, person, QueueFilter(), pace=QUICK)
            first = asyncio.ensure_future(anext(stream))
            while not asked.is_set():
                await asyncio.sleep(0)
            answers.set()
            found = await first
            await stream.aclose()  # type: ignore[attr-defined]
            return found

        assert b"<title>" in asyncio.run(asyncio.wait_for(read(), 2 * SOON_SECONDS))

    def test_a_desk_that_ends_ends_its_streams(self, running: RunningDesk, lead: httpx.Client) -> None:
        """A restart would wait for everybody to close their pages."""
        with opened(lead) as found:
            until(found, "beat")
            began = time.monotonic()
            running.app.state.services.feed.close()
            assert list(found)[-1:] != [Event(name="signed-out", data="")]
            assert time.monotonic() - began < SOON_SECONDS


class TestNext:
    def test_it_opens_the_case_that_was_taken(self, lead: httpx.Client, scene: Scene, redis: Redis) -> None:
        """A moderator would take a case and not see it."""
        scene.raise_incident("cam-2", Severity.HIGH)
        urgent = scene.raise_incident("cam-1")
        csrf = csrf_of(lead)
        answer = lead.post("/queue/next", data={"csrf": csrf})
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            f"/cases/{redis.hget(f'lw:incident:{urgent}', 'case')}",
        )
        assert redis.hget(f"lw:incident:{urgent}", "holder") == "lea"
        another = lead.post("/queue/next", data={"csrf": csrf}).headers["location"]
        assert another != answer.headers["location"], "the next one, not the one that is held"
        assert lead.post("/queue/next", data={"csrf": csrf}).headers["location"] == answer.headers["location"]

    def test_nothing_to_take_is_said(self, lead: httpx.Client) -> None:
        """A moderator would press the button again and again."""
        answer = lead.post("/queue/next", data={"csrf": csrf_of(lead)})
        assert answer.headers["location"] == "/queue?nothing=1"
        assert "Nothing is free to take" in lead.get("/queue?nothing=1").text


def lead_of(services: DeskServices, client: httpx.Client) -> SignedIn:
    """The person of a signed-in browser."""
    found = services.accounts.find(client.cookies["lw_desk"])
    assert found is not None
    return found


def collected(services: DeskServices, person: SignedIn, *, at_least: int) -> list[bytes]:
    """The first events of a stream of that person, or all of it if it ends before."""

    async def read() -> list[bytes]:
        found = []
        stream = queue_stream(services, person, QueueFilter(), pace=QUICK)
        async for event in stream:
            found.append(event)
            if len(found) >= at_least:
                break
        with suppress(AttributeError):
            await stream.aclose()  # type: ignore[attr-defined]
        return found

    return asyncio.run(asyncio.wait_for(read(), 2 * SOON_SECONDS))
