"""The matrix: who may do what. One table of every route and method; a route without a row fails."""

import re
from collections.abc import Iterator

import httpx
import pytest
from desk_server import RunningDesk, csrf_of
from fastapi.routing import APIRoute
from people_made import Roster

from worker.people.actor import Role

NOBODY, MODERATOR, LEAD, OPERATOR, AUDITOR = "nobody", Role.MODERATOR, Role.LEAD, Role.OPERATOR, Role.AUDITOR
PEOPLE = {MODERATOR, LEAD, OPERATOR, AUDITOR}
ALL = PEOPLE | {NOBODY}

MATRIX: dict[tuple[str, str], set[str]] = {
    ("GET", "/"): PEOPLE,
    ("GET", "/sign-in"): ALL,
    ("POST", "/sign-in"): ALL,
    ("GET", "/join"): ALL,
    ("POST", "/join"): ALL,
    ("GET", "/start/{secret}"): ALL,
    ("POST", "/start/{secret}"): ALL,
    ("POST", "/sign-out"): PEOPLE,
    ("GET", "/queue"): {MODERATOR, LEAD},
    ("GET", "/queue/events"): {MODERATOR, LEAD},
    ("POST", "/queue/next"): {MODERATOR, LEAD},
    ("GET", "/cases/{case_id}"): {MODERATOR, LEAD},
    ("GET", "/cases/{case_id}/report"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/report/answers"): {MODERATOR, LEAD},
    ("GET", "/cases/{case_id}/report/drafts/{form}"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/report/record"): {MODERATOR, LEAD},
    ("GET", "/cases/{case_id}/package"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/package"): {MODERATOR, LEAD},
    ("GET", "/insight"): {LEAD, OPERATOR, AUDITOR},
    ("GET", "/insight/report.{ending}"): {LEAD, OPERATOR, AUDITOR},
    ("GET", "/insight/plots/{name}.svg"): {LEAD, OPERATOR, AUDITOR},
    ("POST", "/cases/{case_id}/decide"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/revise"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/preserve"): {MODERATOR, LEAD},
    ("GET", "/cases/{case_id}/incidents/{incident_id}/interrupt"): {MODERATOR, LEAD},
    ("GET", "/cases/{case_id}/pictures"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/look"): {MODERATOR, LEAD},
    ("GET", "/cases/{case_id}/look/{look_id}"): {MODERATOR, LEAD},
    ("GET", "/pictures/{ref}/reduced"): {MODERATOR, LEAD},
    ("POST", "/pictures/{ref}/clear"): {MODERATOR, LEAD},
    ("GET", "/pictures/{ref}/clear/{ticket}"): {MODERATOR, LEAD},
    ("POST", "/pictures/{ref}/hide"): {MODERATOR, LEAD},
    ("GET", "/cases/{case_id}/state"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/take"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/renew"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/release"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/hold"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/hand-over"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/help"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/incidents/{incident_id}/duplicates"): {LEAD},
    ("POST", "/cases/{case_id}/incidents/{incident_id}/confirm"): {MODERATOR, LEAD},
    ("POST", "/cases/{case_id}/incidents/{incident_id}/allow"): {LEAD},
    ("GET", "/people"): {LEAD, AUDITOR},
    ("POST", "/people/add"): {LEAD},
    ("POST", "/people/role"): {LEAD},
    ("POST", "/people/token"): {LEAD},
    ("POST", "/people/remove"): {LEAD},
    ("GET", "/sessions"): PEOPLE,
    ("POST", "/sessions/end"): PEOPLE,
    ("GET", "/settings"): PEOPLE,
    ("GET", "/settings/sample"): PEOPLE,
    ("POST", "/settings"): PEOPLE,
    ("POST", "/settings/keys"): PEOPLE,
    ("GET", "/password"): PEOPLE,
    ("POST", "/password"): PEOPLE,
    ("GET", "/static/{path:path}"): ALL,
}
"""Who passes the gate of each route; what the page then makes of an empty form is its own test's matter."""


ENDING = ("/sign-out", "/sessions/end")
"""They end the session with which the test walks through the others."""


def routes(desk: RunningDesk) -> Iterator[tuple[str, str]]:
    services = [route for included in desk.app.routes for route in _flat(included)]
    for route in services:
        for method in route.methods or ():
            yield method, route.path


def _flat(route: object) -> list[APIRoute]:
    """The routes of an application; FastAPI may keep those of a router together."""
    if isinstance(route, APIRoute):
        return [route]
    inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
    assert inner, f"a route of a kind that this test does not know: {route!r}"
    return [one for part in inner for one in _flat(part)]


def test_every_route_has_a_row(running: RunningDesk) -> None:
    """A page added in haste would be open to everybody."""
    assert set(routes(running)) == set(MATRIX)


def refused(answer: httpx.Response) -> bool:
    """Whether the gate refused: another role's page, or the way to sign-in."""
    return answer.status_code in (401, 403) or answer.headers.get("location", "").startswith("/sign-in?next=")


@pytest.mark.parametrize("role", [NOBODY, *sorted(PEOPLE)])
def test_each_role_passes_where_its_row_says_so(role: str, running: RunningDesk, roster: Roster) -> None:
    """An operator would read the queue, or a moderator the list of people; or a lead would be kept out."""
    client, csrf = running.browser(), ""
    if role != NOBODY:
        roster.add("kim", Role(role))
        client = running.signed_in("kim", roster.tokens["kim"])
        csrf = csrf_of(client)
    gated = {row: allowed for row, allowed in MATRIX.items() if NOBODY not in allowed and row[1] not in ENDING}
    passed = {}
    for method, path in gated:
        form = {"csrf": csrf, "password": "", "new_password": "short"} if method == "POST" else None
        with client.stream(method, path, data=form) as answer:
            # A stream of events does not end.
            endless = "text/event-stream" in answer.headers.get("content-type", "")
            text = "" if endless else answer.read().decode(errors="replace")
        passed[method, path] = not refused(answer) or "Expected a password" in text
    assert passed == {row: role in allowed for row, allowed in gated.items()}
    for path in ENDING:
        answer = client.post(path, data={"csrf": csrf})
        assert (answer.headers["location"] == "/sign-in") is (role != NOBODY)
        if role != NOBODY:
            client = running.signed_in("kim", roster.tokens["kim"])
            csrf = csrf_of(client)


def test_other_methods_are_refused(running: RunningDesk, roster: Roster) -> None:
    """A method that no page expects would reach one all the same."""
    client = running.signed_in("lea", roster.tokens["lea"])
    for _, path in MATRIX:
        plain = re.sub(r"\{[^}]*\}", "x", path)
        for method in ("PUT", "PATCH", "DELETE", "TRACE"):
            assert client.request(method, plain).status_code == 405, (method, plain)
