"""Fetches from real servers on loopback, most of them hostile."""

import gc
import gzip
import os
import queue
import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import traceback
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

import pytest
from fetch_all import fetch_all

from worker.errors import FetchError
from worker.ingest.http.fetch import Fetched, Fetcher, FetchRequest
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.http.resolver import Address
from worker.ingest.http.resource import ByteRange, Validators

BODY = bytes(range(256)) * 40
TOKEN = "sig=SECRET%2Fb+c%3D"


class Handler(BaseHTTPRequestHandler):
    """Answers by the last part of the path; keeps connections alive."""

    protocol_version = "HTTP/1.1"
    server: "Origin"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"], self.client_address))
        self.server.headers.append(dict(self.headers))
        getattr(self, "answer_" + self.path.partition("?")[0].rpartition("/")[2].replace("-", "_"))()

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *args: object) -> None:
        """Keeps the output of attacked servers out of the tests."""

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def until_gone(self) -> None:
        """Waits for the client to hang up."""
        self.close_connection = True
        self.rfile.read(1)

    def answer_body(self) -> None:
        self.reply(
            200, BODY, ETag='W/"v1"', Last_Modified="Tue, 03 Mar 2026 10:00:00 GMT", Content_Type="Video/MP2T; x=y"
        )

    def answer_cookie(self) -> None:
        self.reply(200, b"", Set_Cookie="a=b; Path=/")

    def answer_missing(self) -> None:
        self.reply(404)

    def answer_gone(self) -> None:
        self.reply(410)

    def answer_status_of_its_own(self) -> None:
        self.connection.sendall(b"HTTP/1.1 777 x\r\nContent-Length: 0\r\n\r\n")
        self.close_connection = True

    def answer_broken(self) -> None:
        self.reply(503)

    def answer_unasked_part(self) -> None:
        self.reply(206, BODY)

    def answer_moved(self) -> None:
        self.reply(302, Location="../elsewhere/body?" + TOKEN)

    def answer_loop(self) -> None:
        self.reply(302, Location=self.path)

    def answer_deeper(self) -> None:
        self.reply(302, Location=f"/x{self.path}")

    def answer_nowhere(self) -> None:
        self.reply(302)

    def answer_to_other(self) -> None:
        self.reply(307, Location=self.server.other)

    def answer_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"x" * 65536)

    def answer_endless_chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    def answer_declared(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(10**12))
        self.end_headers()
        self.until_gone()

    def answer_cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 10)
        self.close_connection = True

    def answer_longer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"12345HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    def answer_trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x")
        self.until_gone()

    def answer_silence(self) -> None:
        self.until_gone()

    def answer_headers(self) -> None:
        self.send_response(200)
        for number in range(1000):
            self.send_header(f"X-{number}", "x")
        self.end_headers()

    def answer_long_header(self) -> None:
        self.reply(200, X_Long="x" * 100_000)

    def answer_nonsense(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        self.close_connection = True

    def answer_gzip(self) -> None:
        self.reply(200, gzip.compress(BODY), Content_Encoding="gzip")

    def answer_deflate(self) -> None:
        self.reply(200, zlib.compress(BODY), Content_Encoding="deflate")

    def answer_bomb(self) -> None:
        self.reply(200, gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")

    def answer_cut_gzip(self) -> None:
        self.reply(200, gzip.compress(BODY)[:-20], Content_Encoding="gzip")

    def answer_two_gzips(self) -> None:
        self.reply(200, gzip.compress(BODY) * 2, Content_Encoding="gzip")

    def answer_no_gzip(self) -> None:
        self.reply(200, BODY, Content_Encoding="gzip")

    def answer_brotli(self) -> None:
        self.reply(200, BODY, Content_Encoding="br")

    def answer_ranges(self) -> None:
        start, end = (int(part) for part in self.headers["Range"].removeprefix("bytes=").split("-"))
        part = BODY[start : end + 1]
        self.reply(206, part, Content_Range=f"bytes {start}-{start + len(part) - 1}/{len(BODY)}")

    def answer_other_range(self) -> None:
        self.reply(206, BODY[:10], Content_Range=f"bytes 0-9/{len(BODY)}")

    def answer_unnamed_range(self) -> None:
        self.reply(206, BODY[100:110])


class Origin(ThreadingHTTPServer):
    """A server that records its requests."""

    daemon_threads = True

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), Handler)
        self.asked: list[tuple[str, str, object]] = []
        self.headers: list[dict[str, str]] = []
        self.other = ""

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}"

    @property
    def connections(self) -> int:
        return len({client for *_, client in self.asked})

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores errors of clients that hang up, as they must on an attacker."""


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def loopback(port: int) -> AllowedOrigins:
    """A fetcher that may go to all of loopback at that port."""
    return AllowedOrigins.parse([f"127.0.0.0/8:{port}", f"[::1]:{port}"])


@pytest.fixture
def fetcher(origin: Origin) -> Iterator[Fetcher]:
    """A fetcher that may go to `origin`, by any address of loopback."""
    opened = Fetcher(loopback(origin.server_port))
    yield opened
    opened.close()


def fetch(fetcher: Fetcher, url: str, byte_range: ByteRange | None = None, timeout_seconds: float = 20) -> Fetched:
    return fetcher.fetch_sync(url, max_bytes=100_000, timeout_seconds=timeout_seconds, byte_range=byte_range)


def reason_of(fetcher: Fetcher, url: str, byte_range: ByteRange | None = None, timeout_seconds: float = 20) -> str:
    """The reason of the failure; its text must be one line, say what was expected and contain no secret."""
    with pytest.raises(FetchError, match="expected") as failure:
        fetch(fetcher, f"{url}?{TOKEN}", byte_range, timeout_seconds)
    told = "".join(traceback.format_exception(failure.value))
    assert "SECRET" not in told
    assert "\n" not in str(failure.value)
    return failure.value.reason


def test_body_and_headers_are_returned_unaltered(origin: Origin, fetcher: Fetcher) -> None:
    """Bytes would be altered on the way, or a restarted origin could not be detected by its validators."""
    fetched = fetch(fetcher, f"{origin.url}/body")
    assert fetched.body == BODY
    assert fetched.status == 200
    assert fetched.content_type == "video/mp2t"
    assert fetched.validators == Validators(
        etag='"v1"', last_modified="Tue, 03 Mar 2026 10:00:00 GMT", length_bytes=len(BODY)
    )
    assert "body=" not in repr(fetched)


def test_head_asks_for_no_body(origin: Origin, fetcher: Fetcher) -> None:
    """Comparing validators would transfer the whole segment."""
    fetched = fetcher.fetch_sync(f"{origin.url}/body", max_bytes=0, timeout_seconds=20, method="HEAD")
    assert fetched.body == b""
    assert fetched.validators.length_bytes == len(BODY)


def test_a_signed_url_is_requested_as_written(origin: Origin, fetcher: Fetcher) -> None:
    """An origin that checks signatures would refuse a URL that was re-encoded."""
    fetch(fetcher, f"{origin.url}/a%2Fb%20c/body?{TOKEN}&x=a b|ü#fragment")
    assert origin.asked[0][0] == f"/a%2Fb%20c/body?{TOKEN}&x=a%20b|%C3%BC"


def test_connections_are_reused_and_carry_nothing_over(
    origin: Origin, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each poll would cost a handshake; or a proxy from the environment would bypass the guard."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    fetch(fetcher, f"{origin.url}/cookie")
    fetch(fetcher, f"{origin.url}/body")
    fetch(fetcher, f"{origin.url}/body")
    assert origin.connections == 1
    assert not any("Cookie" in headers for headers in origin.headers)
    assert {headers["Accept-Encoding"] for headers in origin.headers} == {"identity"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "http_404"),
        ("gone", "http_410"),
        ("broken", "http_503"),
        ("status-of-its-own", "http_7xx"),
        ("unasked-part", "http_206"),
        ("endless", "too_large"),
        ("endless-chunks", "too_large"),
        ("declared", "too_large"),
        ("bomb", "too_large"),
        ("cut", "bad_response"),
        ("headers", "bad_response"),
        ("long-header", "bad_response"),
        ("nonsense", "bad_response"),
        ("cut-gzip", "bad_response"),
        ("two-gzips", "bad_response"),
        ("no-gzip", "bad_response"),
        ("brotli", "bad_response"),
        ("nowhere", "bad_response"),
        ("loop", "redirect_loop"),
        ("deeper", "redirect_loop"),
    ],
)
def test_an_unusable_answer_fails_with_its_reason(origin: Origin, fetcher: Fetcher, path: str, reason: str) -> None:
    """A worker would hang, fill its memory, or moderate wrong bytes; and the ledger would not give the reason."""
    assert reason_of(fetcher, f"{origin.url}/{path}") == reason
    assert fetch(fetcher, f"{origin.url}/body").body == BODY


@pytest.mark.parametrize("concurrent", [False, True])
@pytest.mark.parametrize("path", ["missing", "endless", "bomb", "cut", "loop", "silence"])
def test_a_failed_fetch_leaves_nothing_in_memory(origin: Origin, fetcher: Fetcher, path: str, concurrent: bool) -> None:
    """A worker's process would keep a segment of 60 MB for each whose initialisation section cannot be fetched, until
    a complete collection of garbage that may be long in coming."""

    class Body:
        """Stands for what the caller has fetched before."""

    def ask() -> weakref.ref[Body]:
        before = Body()
        url = f"{origin.url}/{path}"
        if concurrent:
            (answer,) = fetch_all(fetcher, [FetchRequest(url=url, max_bytes=200_000, timeout_seconds=0.3)])
            assert isinstance(answer, FetchError)
            return weakref.ref(answer)
        try:
            fetcher.fetch_sync(url, max_bytes=200_000, timeout_seconds=0.3)
        except FetchError:
            return weakref.ref(before)
        raise AssertionError("it was fetched")

    fetch(fetcher, f"{origin.url}/body")
    gc.collect()
    gc.disable()
    try:
        kept = ask()
        # The loop lets go of the fetch before it takes on another.
        fetch(fetcher, f"{origin.url}/body")
        assert kept() is None
    finally:
        gc.enable()


def test_only_404_and_410_are_gone() -> None:
    """A segment would be given up for a passing fault of its origin, or requested until its deadline."""
    assert FetchError("", "http_404").gone
    assert FetchError("", "http_410").gone
    assert not FetchError("", "http_503").gone
    assert not FetchError("", "timeout").gone


@pytest.mark.parametrize("path", ["trickle", "silence"])
def test_a_slow_answer_ends_in_time(origin: Origin, fetcher: Fetcher, path: str) -> None:
    """One origin that sends a byte at a time would block a worker for ever."""
    assert reason_of(fetcher, f"{origin.url}/{path}", timeout_seconds=0.2) == "timeout"


@pytest.mark.parametrize("path", ["gzip", "deflate"])
def test_a_body_compressed_unasked_is_decoded(origin: Origin, fetcher: Fetcher, path: str) -> None:
    """Playlists of servers that always compress could not be read."""
    fetched = fetch(fetcher, f"{origin.url}/{path}")
    assert fetched.body == BODY
    assert fetched.validators.length_bytes is None


def test_bytes_beyond_the_declared_length_are_discarded(origin: Origin, fetcher: Fetcher) -> None:
    """An origin could answer the next request on the connection, which may be another stream's."""
    assert fetch(fetcher, f"{origin.url}/longer").body == b"12345"
    assert fetch(fetcher, f"{origin.url}/body").body == BODY


@pytest.mark.parametrize("path", ["ranges", "body"])
def test_a_byte_range_is_cut_out_by_the_server_or_by_us(origin: Origin, fetcher: Fetcher, path: str) -> None:
    """Segments that share a file would be moderated as the whole file, or not at all where a server ignores ranges."""
    fetched = fetch(fetcher, f"{origin.url}/{path}", ByteRange(offset=100, length=50))
    assert fetched.body == BODY[100:150]
    assert fetched.validators.length_bytes == len(BODY)
    assert fetch(fetcher, f"{origin.url}/body").body == BODY


@pytest.mark.parametrize(
    ("path", "offset", "length", "reason"),
    [
        ("other-range", 100, 10, "bad_response"),
        ("unnamed-range", 100, 10, "bad_response"),
        ("ranges", len(BODY) - 5, 10, "bad_response"),
        ("body", len(BODY) - 5, 10, "bad_response"),
        ("ranges", 0, 200_000, "too_large"),
        ("endless", 150_000, 10, "too_large"),
    ],
)
def test_a_wrong_byte_range_is_refused(
    origin: Origin, fetcher: Fetcher, path: str, offset: int, length: int, reason: str
) -> None:
    """Bytes other than those in the playlist would be moderated."""
    assert reason_of(fetcher, f"{origin.url}/{path}", ByteRange(offset=offset, length=length)) == reason


def test_a_redirect_is_followed_to_its_end(origin: Origin, fetcher: Fetcher) -> None:
    """Origins behind a load balancer could not be watched, or relative URIs would be resolved against the wrong
    base."""
    fetched = fetch(fetcher, f"{origin.url}/live/moved")
    assert fetched.url == f"{origin.url}/elsewhere/body?{TOKEN}"
    assert fetched.body == BODY


@pytest.mark.parametrize("spelling", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "127.1", "[::ffff:127.0.0.1]"])
def test_a_redirect_into_our_own_network_is_refused(origin: Origin, spelling: str) -> None:
    """A broadcaster's redirect would make the worker request services that only it can reach."""
    fetcher = Fetcher(AllowedOrigins.parse([]).with_named(origin.url))
    with Origin() as inner:
        thread = threading.Thread(target=inner.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        origin.other = f"http://{spelling}:{inner.server_port}/body"
        assert reason_of(fetcher, f"{origin.url}/to-other") == "refused_origin"
        assert inner.asked == []
        inner.shutdown()
        thread.join()
    assert fetch(fetcher, f"{origin.url}/body").body == BODY
    fetcher.close()


def test_a_redirect_to_another_scheme_is_refused(origin: Origin, fetcher: Fetcher) -> None:
    """A redirect could name a file on the worker's machine."""
    origin.other = "file:///etc/hostname"
    assert reason_of(fetcher, f"{origin.url}/to-other") == "bad_url"


class Resolver:
    """A name server whose answers change: each query gets the next answer, and the last one repeats."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise OSError("no such host")
        return [ip_address(address) for address in answer]


def test_the_checked_address_is_the_one_connected_to(origin: Origin) -> None:
    """A name that resolves to an allowed address for the check and to another for the connection would get in."""
    resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])
    fetcher = Fetcher(AllowedOrigins.parse([f"127.0.0.1/32:{origin.server_port}"]), resolve=resolver)
    fetched = fetch(fetcher, f"http://rebound.example:{origin.server_port}/body")
    assert fetched.body == BODY
    assert resolver.asked == ["rebound.example"]
    assert origin.asked[0][1] == f"rebound.example:{origin.server_port}"
    fetcher.close()
    # A new connection resolves the name again, and now the answer is refused.
    assert reason_of(fetcher, f"http://rebound.example:{origin.server_port}/body") == "refused_origin"
    assert len(origin.asked) == 1
    fetcher.close()


def test_only_permitted_addresses_of_a_name_are_tried(origin: Origin) -> None:
    """A name with one allowed address would lead to its forbidden ones too."""
    fetcher = Fetcher(
        AllowedOrigins.parse([f"127.0.0.1/32:{origin.server_port}"]), resolve=Resolver(["127.0.0.9", "127.0.0.1"])
    )
    assert fetch(fetcher, f"http://two.example:{origin.server_port}/body").body == BODY
    fetcher.close()


def test_an_origin_that_is_not_there() -> None:
    """An unreachable origin would be reported as malformed, or with a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    fetcher = Fetcher(loopback(port))
    with pytest.raises(FetchError, match="Connection refused") as refused:
        fetch(fetcher, f"http://127.0.0.1:{port}/")
    assert refused.value.reason == "unreachable"
    fetcher.close()
    unknown = Fetcher(AllowedOrigins.parse([]), resolve=Resolver([]))
    assert reason_of(unknown, "http://unknown.example/") == "unreachable"
    unknown.close()


def test_a_batch_returns_the_result_of_each_request(origin: Origin, fetcher: Fetcher) -> None:
    """One bad stream would fail the polls of all that share its batch."""
    paths = ["body", "missing", "trickle", "body"]
    requests = [FetchRequest(url=f"{origin.url}/{path}", max_bytes=100_000, timeout_seconds=4) for path in paths]
    results = fetch_all(fetcher, requests)
    assert [result.reason if isinstance(result, FetchError) else result.body for result in results] == [
        BODY,
        "http_404",
        "timeout",
        BODY,
    ]


def test_a_batch_is_fetched_concurrently() -> None:
    """Streams would be polled one after another, and a slow origin would delay all of them."""
    together = threading.Barrier(8, timeout=30)

    class Patient(Handler):
        def answer_body(self) -> None:
            together.wait()
            super().answer_body()

    with Origin() as server:
        server.RequestHandlerClass = Patient
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        request = FetchRequest(url=f"{server.url}/body", max_bytes=100_000, timeout_seconds=40)
        fetcher = Fetcher(loopback(server.server_port))
        results = fetch_all(fetcher, [request] * 8)
        fetcher.close()
        server.shutdown()
        thread.join()
    assert [isinstance(result, Fetched) for result in results] == [True] * 8


def test_closing_twice_and_opening_again(origin: Origin) -> None:
    """Closing twice at shutdown would end in a traceback, or leave a thread."""
    fetcher = Fetcher(loopback(origin.server_port))
    fetcher.close()
    fetch(fetcher, f"{origin.url}/body")
    fetcher.close()
    fetcher.close()
    assert not any(thread.name == "livewarden-fetch" for thread in threading.enumerate())
    assert fetch(fetcher, f"{origin.url}/body").body == BODY
    fetcher.close()


def test_fetches_end_with_their_fetcher() -> None:
    for _ in range(20):
        with socket.create_server(("127.0.0.1", 0), backlog=8) as mute:
            fetcher = Fetcher(loopback(mute.getsockname()[1]))
            ends: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

            def wait_for_an_answer(
                fetcher: Fetcher = fetcher, mute: socket.socket = mute, ends: queue.SimpleQueue[BaseException] = ends
            ) -> None:
                try:
                    fetch(fetcher, f"http://127.0.0.1:{mute.getsockname()[1]}/mute", timeout_seconds=60)
                except BaseException as error:
                    ends.put(error)

            waiting = [threading.Thread(target=wait_for_an_answer, daemon=True) for _ in range(8)]
            for thread in waiting:
                thread.start()
            accepted = [mute.accept()[0] for _ in waiting]

            fetcher.close()

            assert {type(ends.get(timeout=20)) for _ in waiting} <= {CancelledError, FetchError}
            for connection in accepted:
                connection.settimeout(20)
                while connection.recv(4096):  # until the fetcher has closed it
                    pass
                connection.close()


def test_a_fetcher_used_before_a_fork_works_after_it(origin: Origin) -> None:
    """A Celery pool child would wait for ever for a thread that exists only in its parent."""
    script = textwrap.dedent(
        """
        import os, sys
        from worker.ingest.http.fetch import Fetcher
        from worker.ingest.http.origins import AllowedOrigins
        from worker.ingest.http.urls import target_of

        fetcher = Fetcher(AllowedOrigins.parse([str(target_of(sys.argv[1]))]))
        def length():
            return len(fetcher.fetch_sync(sys.argv[1], max_bytes=100_000, timeout_seconds=20).body)
        first = length()
        child = os.fork()
        if not child:
            second = length()
            fetcher.close()
            os._exit(0 if second == first else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert length() == first
        fetcher.close()
        """
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, f"{origin.url}/body"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert origin.connections == 2


def test_a_certificate_that_does_not_verify_is_refused(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> None:
    """An attacker between worker and origin could serve another stream."""
    openssl = shutil.which("openssl")
    if openssl is None:
        ci_or_skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Origin() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        fetcher = Fetcher(loopback(server.server_port))
        with pytest.raises(FetchError, match="expected a TLS certificate that verifies") as failure:
            fetch(fetcher, f"https://127.0.0.1:{server.server_port}/body")
        fetcher.close()
        server.shutdown()
        thread.join()
    assert failure.value.reason == "unreachable"
    assert server.asked == []
