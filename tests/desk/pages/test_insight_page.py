"""The page of insight, as a browser gets it."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import fromstring

import httpx
import pytest
from desk_server import RunningDesk, serving_desk
from people_made import Roster
from redis import Redis
from scene import Scene

from config.settings import Settings
from desk.database.connection import DeskDatabase
from worker.people.actor import Role
from worker.queue.decisions import decide_incident

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def desk(redis: Redis, database: DeskDatabase, tmp_path: Path) -> Iterator[RunningDesk]:
    with serving_desk(redis, database, settings=Settings(store_url=str(tmp_path / "store"))) as desk:
        yield desk


@pytest.fixture
def auditor(desk: RunningDesk, roster: Roster) -> httpx.Client:
    roster.add("ada", Role.AUDITOR)
    return desk.signed_in("ada", roster.tokens["ada"])


def read(client: httpx.Client, path: str) -> httpx.Response:
    """An answer, once the report is made: on a busy machine that takes longer than a page waits."""
    answer = client.get(path, timeout=60)
    while answer.status_code in (202, 503):
        answer = client.get(path, timeout=60)
    return answer


@pytest.fixture
def busy(scene: Scene, roster: Roster) -> Scene:
    """A deployment with decisions."""
    for number, outcome in enumerate(("csea_apparent", "harmless", "adult_tos")):
        incident = scene.raise_incident(f"cam-{number}")
        decide_incident(scene.redis, incident, outcome, by=roster.lead, note="seen", deployment="test")
    scene.raise_incident("cam-9")
    return scene


def test_limits_come_first_and_figures_have_tables(auditor: httpx.Client, busy: Scene) -> None:
    """Somebody would publish a figure, and not what it cannot know."""
    page = read(auditor, "/insight").text
    assert (
        page.index("What this report cannot know")
        < page.index('class="panel figures')
        < page.index("By rule and threshold")
    )
    assert re.search(r'<dt>Decided</dt><dd class="big">3</dd>', page)
    assert re.search(r'<dt>Waiting now</dt><dd class="big">1</dd>', page)
    assert 'class="l-ci"' in page
    assert not re.search(r"\blea\b", page)
    assert auditor.get("/").headers["location"] == "/insight"


def test_an_empty_deployment_has_a_page(auditor: httpx.Client) -> None:
    """The first day of a deployment would be an error."""
    page = read(auditor, "/insight")
    assert page.status_code == 200
    assert '<dt>Moderated</dt><dd class="big">–</dd>' in page.text


def test_downloads_have_the_same_figures(auditor: httpx.Client, busy: Scene) -> None:
    """A published file would say something else than the page."""
    query = re.search(r'href="/insight/report\.json\?([^"]+)"', read(auditor, "/insight").text)
    assert query is not None
    asked = query[1].replace("&amp;", "&")
    found = {ending: read(auditor, f"/insight/report.{ending}?{asked}") for ending in ("md", "json", "csv")}
    data = json.loads(found["json"].text)
    assert data["sections"]["accuracy"]["tables"]["confirmed"][0]["decided"] == 3
    assert "| known |" in found["md"].text
    assert ["confirmed"] in list(csv.reader(io.StringIO(found["csv"].text)))
    for ending, answer in found.items():
        assert re.fullmatch(
            rf'attachment; filename="livewarden-live-[0-9-]+\.{ending}"', answer.headers["content-disposition"]
        )
        assert answer.headers["cache-control"] == "no-store"
    assert read(auditor, f"/insight/report.exe?{asked}").status_code == 404


def test_plots_are_drawn(auditor: httpx.Client, busy: Scene) -> None:
    """The page would have a broken image."""
    for name in ("coverage", "times"):
        answer = read(auditor, f"/insight/plots/{name}.svg")
        assert answer.headers["content-type"].startswith("image/svg+xml")
        assert fromstring(answer.text).tag.endswith("svg")
    assert read(auditor, "/insight/plots/other.svg").status_code == 404


@pytest.mark.parametrize(
    "query",
    ["first=x&last=y", "first=2026-11-02&last=2026-11-01", "first=2020-01-01&last=2026-01-01", "first=2026-11-01"],
)
def test_a_period_that_is_none_is_said(query: str, auditor: httpx.Client) -> None:
    """A report on another period than the one that was asked for would be published."""
    page = read(auditor, f"/insight?{query}")
    assert (page.status_code, "Expected two days" in page.text) == (422, True)
    assert read(auditor, f"/insight/report.md?{query}").status_code == 422


def test_markup_of_others_stays_text(auditor: httpx.Client, busy: Scene) -> None:
    """A name of a rule, list or authority could run a script in an auditor's browser."""
    (day,) = busy.redis.keys("lw:day:*")
    for field in busy.redis.hgetall(day):
        if " raised " in f" {field} ":
            busy.redis.hset(day, field.replace("known", HOSTILE), 7)
    for key in busy.redis.scan_iter("lw:incident:*", _type="hash"):
        busy.redis.hset(key, "rule", HOSTILE)
    query = f"/insight?purpose={HOSTILE}&period={HOSTILE}&first={HOSTILE}&last={HOSTILE}"
    for path in ("/insight", query):
        assert "<script>alert" not in read(auditor, path).text
    assert "&lt;script&gt;" in read(auditor, "/insight").text


def test_moderators_see_no_insight(desk: RunningDesk, roster: Roster) -> None:
    """Figures of how fast people decide would stand over those who decide."""
    roster.add("kim")
    client = desk.signed_in("kim", roster.tokens["kim"])
    assert client.get("/insight").status_code == 403
    assert "/insight" not in client.get("/queue").text
