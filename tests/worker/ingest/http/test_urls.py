"""URLs made to break a parser, alone and beside an honest stream."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from fetch_all import fetch_all
from hls_origin import LiveOrigin, serving
from hypothesis import example, given
from hypothesis import strategies as st

from worker.errors import FetchError, PlaylistError, RegistryError
from worker.ingest.http.fetch import Fetched, Fetcher, FetchRequest
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.http.resolver import Address
from worker.ingest.http.urls import MAX_SHOWN_CHARACTERS, join, parse, path_of, scheme_of, split, without_query
from worker.ingest.playlist.hls import Segment
from worker.ingest.playlist.parsing import parse_playlist
from worker.ingest.registry.registration import register

HOSTS = [
    *(
        "[v1.::1]:8080",
        "[v1.]",
        "[vz.a]",
        "[v1.\x1b]",
        "[::1%eth0]",
        "[::1%25eth0]:80",
        "[fe80::1%\x00]",
        "[]",
        "[",
        "]",
    ),
    *("[::1]x", "[::1]:x", "[::1]]", "[[::1]]", "a[::1]", "[::1].b", "[1.2.3.4]", "[::ffff:1.2.3.4.5]", "[:::]"),
    *("h:０", "h:٨٠", "h:65536", "h:-1", "h:0", "h: 80", "h:+8", "h:8_0", "h:8²", "h:80:80", "h:" + "9" * 5000, ":80"),
    *(
        "xn--",
        "xn--\u0130",
        "xn--a-ecp.ru",
        "xn--zzzzzzzzzzzz99999",
        "a" * 64,
        "a." * 200,
        "é" * 300,
        "a..b",
        ".a",
        ".",
    ),
    *("\ud800", "\udcff", "ℂ.example", "a\u2100b", "\u200b.de", "\u2028", "\uff0e\uff0e", "a\u3002b", "\u0660.1"),
    *(
        "%31%32",
        "%00",
        "h%zz",
        "",
        "u@h",
        "u:p@h@g",
        "@h",
        "h\\@g",
        "h\\",
        "h\x00",
        "h\n.x",
        "h\x7f",
        "h\x9b",
        "h\u202e",
    ),
    *("0x7f.1", "127.1", "2130706433", "1.2.3.4.5", "-a", "a-", "*", "a b", "a,b", "{}", "$", "'", '"', "<x>", "|"),
]
"""Authorities after http://, most of them invalid."""

NASTY = [
    *(f"http://{host}/x" for host in HOSTS),
    *(
        "http:///x",
        "http://",
        "http:/x",
        "http:x",
        "http",
        ":",
        "://",
        "//",
        "///",
        "?",
        "#",
        "",
        " ",
        "\x00",
        "\ud800",
    ),
    *(
        "http://h/\ud800",
        "http://h/\udcff",
        "http://h/?\ud800",
        "http://h/#\ud800",
        "http://h/%",
        "http://h/" + "x" * 100_000,
    ),
    *(
        "ht\u0130p://h/",
        "HTTP://H/",
        "http\x00://h/",
        "data:,x",
        "javascript:x",
        "file:///etc/passwd",
        "//h:x/y",
        "//[/",
    ),
]

text = st.text(st.characters(), max_size=40)  # surrogates among them
urls = st.one_of(
    st.sampled_from(NASTY),
    text,
    text.map("http://{}".format),
    st.tuples(st.sampled_from(HOSTS), text).map(lambda parts: f"https://{parts[0]}{parts[1]}"),
    st.tuples(text, st.sampled_from(HOSTS)).map(lambda parts: f"http://{parts[0]}{parts[1]}/"),
)


def uses(url: str) -> list[Callable[[], object]]:
    """Every use that is made of a stream's URL."""
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n"
    master = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}\n"
    init = f'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI="{url}"\n#EXTINF:2,\na.ts\n'
    return [
        lambda: parse(url),
        lambda: split(url),
        lambda: join("http://h/x", url),
        lambda: join(url, "x"),
        lambda: register("s1", url, url_template="", legal_basis=""),
        lambda: register("s1", None, url_template=f"{url}{{stream_id}}", legal_basis=""),
        *(lambda text=text: parse_playlist(text, "http://h/x") for text in (playlist, master, init)),
        *(lambda text=text: parse_playlist(text, Path("/nowhere")) for text in (playlist, master, init)),
    ]


@given(urls)
@example("http://[v1.::1]:8080/x")
def test_any_url_raises_our_own_errors_only(url: str) -> None:
    """One hostile URL would permanently stop the poll of the fifty streams in its batch."""
    for use in uses(url):
        with suppress(FetchError, PlaylistError, RegistryError):
            use()
    name = Segment(sequence=0, uri=url, duration_ms=0).name
    assert len(name) == 32
    assert isinstance(path_of(url) + scheme_of(url), str)
    assert len(without_query(url)) <= MAX_SHOWN_CHARACTERS + 1


@pytest.mark.parametrize("url", NASTY)
def test_each_known_nasty_url_raises_our_own_errors_only(url: str) -> None:
    """As above, for URLs known to break parsers, whatever the generator draws."""
    test_any_url_raises_our_own_errors_only.hypothesis.inner_test(url)  # type: ignore[attr-defined]


@given(urls)
def test_a_fetchable_url_is_parsed_in_one_way(url: str) -> None:
    """The guard would check one host, and the connection go to another."""
    parsed = None
    with suppress(FetchError):
        parsed = parse(url)
    if parsed is None:
        with pytest.raises(FetchError) as refusal:
            parse(url)
        assert refusal.value.reason == "bad_url"
        return
    again = parse(str(parsed.request))
    assert again == parsed
    assert str(parsed.request).isascii()
    assert str(parsed.request).isprintable()
    host = parsed.target.host
    assert host == (parsed.request.raw_host or "")
    assert host.replace(".", "").replace(":", "").replace("-", "").replace("_", "").isalnum()


@given(st.text(st.characters(), max_size=30))
def test_a_joined_url_can_be_stored_in_json_and_redis(reference: str) -> None:
    """A redirect with bytes that are not UTF-8 would break the stream's record, and with it the batch."""
    with suppress(FetchError):
        join("http://h/x", reference).encode()


def test_names_of_segments_stay_stable() -> None:
    """After an update every listed segment would look new, and be moderated again."""
    segment = Segment(sequence=7, uri="https://cdn.example/live/a%20b.ts?sig=1#x", duration_ms=2000)
    assert segment.name == "19161471538a8afa093511c240e31503"


async def _breaks(host: str, port: int) -> list[Address]:
    raise KeyError(host)


@pytest.mark.expected_errors("a fetch failed with an unexpected error: KeyError in resolver.py")
def test_an_unforeseen_exception_affects_one_fetch_only(caplog: pytest.LogCaptureFixture) -> None:
    """A fault in a library, triggered by one hostile stream, would stop the polls of its whole batch."""
    with serving(LiveOrigin(bodies={"/body": b"honest"})) as origin:
        fetcher = Fetcher(AllowedOrigins.parse([origin.host]), resolve=_breaks)
        urls = ["http://broken.example/body", f"http://{origin.host}/body"]
        broken, honest = fetch_all(fetcher, [FetchRequest(url=url, max_bytes=99, timeout_seconds=5) for url in urls])
        fetcher.close()
    assert isinstance(broken, FetchError)
    assert broken.reason == "internal"
    assert isinstance(honest, Fetched)
    (record,) = [record for record in caplog.records if "unexpected error" in record.getMessage()]
    assert record.exc_info is None
