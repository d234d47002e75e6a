"""The guard: requests of other sites, large, slow and malformed ones, and what browsers may do with answers."""

import re
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from accounts_made import PASSWORD
from desk_server import RunningDesk, csrf_of, serving_desk
from hypothesis import given
from hypothesis import strategies as st
from people_made import Roster
from redis import Redis

from desk.accounts.lockout import FREE_FROM_ADDRESS
from desk.database.connection import DeskDatabase
from desk.errors import RequestRefusedError
from desk.web.cookies import cookie_header
from desk.web.forms import CONTENT_TYPE, MOST_BYTES, parse_form
from desk.web.same_origin import is_same_origin, local_path
from desk.web.security_headers import security_headers

DESK = "https://desk.example"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"origin": DESK}, True),
        ({"origin": DESK, "sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": DESK, "sec-fetch-site": "cross-site"}, False),
        ({"origin": DESK + ".evil.example"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({}, False),
    ],
)
def test_only_the_desk_s_own_pages_change_something(headers: dict[str, str], expected: bool) -> None:
    """A page of another site could decide a case in a moderator's name."""
    assert is_same_origin("POST", headers, DESK) is expected
    assert is_same_origin("GET", headers, DESK)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/queue", "/queue"),
        ("/cases/8c41?x=1", "/cases/8c41?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_sign_in_leads_to_the_desk_only(path: str, expected: str) -> None:
    """A link to the desk would end, after sign-in, on a page that asks for the password again."""
    assert local_path(path) == expected


@given(st.binary(max_size=200))
def test_any_body_is_a_form_or_refused(body: bytes) -> None:
    """A malformed form would be an error in the log at each try."""
    with suppress(RequestRefusedError):
        assert all(isinstance(text, str) for pair in parse_form(body, CONTENT_TYPE).items() for text in pair)


@pytest.mark.parametrize(
    "body", [b"a=1&a=2", b"a=%ff", b"a=%00", b"&".join(b"f%d=1" % n for n in range(101)), b"\xff=1"]
)
def test_a_doubtful_form_is_refused(body: bytes) -> None:
    """Two parts of the desk could read one form differently."""
    with pytest.raises(RequestRefusedError):
        parse_form(body, CONTENT_TYPE)


def test_a_form_of_another_type_is_refused() -> None:
    """Another site's page may send plain text without asking the browser for leave."""
    with pytest.raises(RequestRefusedError) as error:
        parse_form(b'{"a": 1}', "text/plain")
    assert error.value.status == 415


def test_by_tls_the_cookie_is_kept_from_scripts_and_from_other_hosts() -> None:
    """A script, another host of the domain or a listener on the way could take a session over."""
    assert cookie_header("x", secure=True) == "__Host-lw_desk=x; Path=/; HttpOnly; SameSite=Lax; Secure"
    assert "strict-transport-security" in security_headers(secure=True, cached=False)


def test_every_answer_is_strict(running: RunningDesk) -> None:
    """An injected script would run, a page be framed by another site, or a case stay in a browser's cache."""
    client = running.browser()
    for path in ("/sign-in", "/nowhere", "/queue", "/static/nowhere.css"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert headers["cache-control"] == "no-store", path
        assert headers["x-content-type-options"] == "nosniff", path
    assert "immutable" in client.get("/static/desk.css").headers["cache-control"]


def test_a_form_of_another_session_is_refused(running: RunningDesk, roster: Roster) -> None:
    """Whoever makes a browser send a form could act with the session in it."""
    roster.add("kim")
    lead, kim = running.signed_in("lea", roster.tokens["lea"]), running.signed_in("kim", roster.tokens["kim"])
    for form in ({}, {"csrf": ""}, {"csrf": csrf_of(kim)}):
        assert lead.post("/settings", data=form).status_code == 403, form
    assert lead.post("/settings", data={"csrf": csrf_of(lead)}).status_code == 303
    assert lead.post("/settings", headers={"x-csrf-token": csrf_of(lead)}).status_code == 303


def test_requests_of_other_sites_and_for_other_hosts_are_refused(running: RunningDesk, roster: Roster) -> None:
    """Another site could sign a moderator in as somebody else, or read pages by rebinding a name."""
    client = running.signed_in("lea", roster.tokens["lea"])
    form = {"csrf": csrf_of(client)}
    assert client.post("/settings", data=form, headers={"origin": "https://evil.example"}).status_code == 403
    assert client.post("/sign-in", data={}, headers={"origin": "null"}).status_code == 403
    assert client.get("/queue", headers={"host": "evil.example"}).status_code == 421


def test_a_token_in_the_browser_is_replaced_at_sign_in(running: RunningDesk, roster: Roster) -> None:
    """Whoever planted a cookie would be signed in with its owner (session fixation)."""
    running.signed_in("lea", roster.tokens["lea"])
    client = running.browser()
    client.cookies.set("lw_desk", "planted", domain="127.0.0.1")
    answer = client.post("/sign-in", data={"name": "lea", "password": PASSWORD})
    assert answer.status_code == 303
    assert "lw_desk=planted" not in answer.headers["set-cookie"]
    assert "HttpOnly; SameSite=Lax" in answer.headers["set-cookie"]
    stranger = running.browser(cookie="lw_desk=planted")
    assert stranger.get("/queue").headers["location"] == "/sign-in?next=/queue"


def test_a_huge_request_is_refused(running: RunningDesk) -> None:
    """A few requests would fill the desk's memory."""
    client = running.browser()
    assert client.post("/sign-in", content=b"a" * (MOST_BYTES + 1)).status_code == 413
    chunks = (b"a" * 10_000 for _ in range(100))
    assert client.post("/sign-in", content=chunks).status_code == 413
    assert client.get("/sign-in", headers={"x-long": "a" * 20_000}).status_code == 431


def test_a_length_that_lies_holds_nothing(running: RunningDesk) -> None:
    """A client that announces a form and sends none would be read as an empty form."""
    port = int(running.origin.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = f"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {running.origin}\r\n"
        connection.sendall(f"{head}Content-Length: 9\r\n\r\nname".encode())
        connection.shutdown(socket.SHUT_WR)
        assert b"200 OK" not in connection.recv(1_000)


@pytest.mark.parametrize(
    "path", ["../desk/app.py", "..%2fapp.py", "%2e%2e/app.py", "vendor/vendored.yaml", "/etc/passwd", "vendor", ""]
)
def test_only_files_of_the_table_are_served(path: str, running: RunningDesk) -> None:
    """A path could lead out of the folder."""
    assert running.browser().get(f"/static/{path}").status_code == 404


class TestBehindAProxy:
    HEADER = "x-signed-in-as"

    def test_the_proxy_vouches_for_people_of_the_roster(
        self, redis: Redis, database: DeskDatabase, roster: Roster
    ) -> None:
        """People would have a second password beside the organisation's."""
        with serving_desk(redis, database, **self.deployed("127.0.0.1/32")) as desk:
            client = desk.browser(**{self.HEADER: "lea"})
            assert client.get("/queue").headers["location"] == "/join"
            assert client.post("/join", data={"token": "lwt_wrong"}).status_code == 403
            assert client.post("/join", data={"token": roster.tokens["lea"]}).status_code == 303
            assert client.get("/queue").status_code == 200
            assert client.post("/settings", data={"csrf": csrf_of(client)}).status_code == 303
            assert desk.browser().get("/queue").status_code == 401
            assert desk.browser(**{self.HEADER: "kim"}).get("/queue").headers["location"] == "/join"

    def test_a_name_beyond_ascii_is_the_roster_s(self, redis: Redis, database: DeskDatabase, roster: Roster) -> None:
        """Zoë could not sign in; and a header sent twice could name somebody else."""
        roster.add("Zoë")
        with serving_desk(redis, database, **self.deployed("127.0.0.1/32")) as desk:
            desk.accounts.join_behind_proxy("Zoë", roster.tokens["Zoë"], address="192.0.2.1")
            client = desk.browser()
            assert client.get("/queue", headers=[(self.HEADER.encode(), "Zoë".encode())]).status_code == 200
            twice = [(self.HEADER.encode(), "Zoë".encode()), (self.HEADER.encode(), b"lea")]
            assert client.get("/queue", headers=twice).status_code == 401

    def test_another_spelling_is_another_person(self, redis: Redis, database: DeskDatabase, roster: Roster) -> None:
        """Whoever gets the name of a moderator in other letters from the proxy's directory would judge as they."""
        roster.add("kim strauss")
        with serving_desk(redis, database, **self.deployed("127.0.0.1/32")) as desk:
            desk.accounts.join_behind_proxy("kim strauss", roster.tokens["kim strauss"], address="192.0.2.1")
            for name, status in (
                ("Kim Strauss", 200),
                ("kim strauß", 303),
                ("\N{KELVIN SIGN}im strauss", 303),
                ("kim \N{LATIN SMALL LETTER LONG S}trauss", 303),
            ):
                answer = desk.browser().get("/queue", headers=[(self.HEADER.encode(), name.encode())])
                assert answer.status_code == status, name

    def test_failures_are_counted_by_what_the_proxy_saw(self, redis: Redis, database: DeskDatabase) -> None:
        """A proxy that adds a header of its own below the client's would let them guess from any address."""
        with serving_desk(redis, database, **self.deployed("127.0.0.1/32") | {"proxy_header": ""}) as desk:
            client, form = desk.browser(), {"token": "lwt_x", "password": PASSWORD}
            for number in range(FREE_FROM_ADDRESS):
                seen = [("x-forwarded-for", f"203.0.113.{number}"), ("x-forwarded-for", "192.0.2.7")]
                answer = client.post(
                    "/join", data={"name": f"kim{number}", **form}, headers=[*client.headers.items(), *seen]
                )
                assert "Too many tries" not in answer.text
            answer = client.post("/join", data={"name": "kim", **form}, headers=[*client.headers.items(), *seen])
            assert "Too many tries" in answer.text

    def test_the_header_of_anybody_else_is_nothing(self, redis: Redis, database: DeskDatabase, roster: Roster) -> None:
        """Whoever reaches the desk beside the proxy would be whom they like."""
        with serving_desk(redis, database, **self.deployed("192.0.2.7/32")) as desk:
            desk.accounts.join_behind_proxy("lea", roster.tokens["lea"], address="192.0.2.1")
            assert desk.browser(**{self.HEADER: "lea"}).get("/queue").status_code == 401

    def deployed(self, network: str) -> dict[str, object]:
        from ipaddress import ip_network

        return {
            "proxy_from": (ip_network(network),),
            "proxy_header": self.HEADER,
            "proxy_secret": "s" * 64,
        }


def test_no_template_needs_an_inline_style_or_script() -> None:
    """The page would be broken under its own policy."""
    for path in Path("desk/templates").rglob("*.html"):
        text = path.read_text()
        assert " style=" not in text, path
        assert not re.search(r"\son[a-z]+=", text), path
        assert "<script>" not in text, path
        # The timeline's drawing is made of markup, and escapes foreign text itself (tests/worker/timeline).
        assert "|safe" not in text.replace("timeline.drawn.svg|safe", ""), path


@pytest.mark.expected_errors("")
def test_a_bug_s_answer_is_as_strict(running: RunningDesk) -> None:
    """The one page that nobody tested could be framed, and stay in a browser's cache."""

    def broken() -> None:
        raise RuntimeError("a bug")

    running.app.add_api_route("/broken", broken)
    answer = running.browser().get("/broken")
    assert answer.status_code == 500
    assert "a bug" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
