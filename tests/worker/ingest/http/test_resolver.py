"""Name servers that do not answer, as a hostile stream's URL can involve them."""

import asyncio
from collections.abc import Iterator

import pytest
from fetch_all import fetch_all, fetch_as_they_come
from hls_origin import LiveOrigin, serving
from name_server import AAAA, NameServer, name_server

from worker.errors import FetchError
from worker.ingest.http.fetch import Fetched, Fetcher, FetchRequest
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.http.resolver import DnsCache

TIMEOUT_SECONDS = 5.0
"""The poll's value."""


@pytest.fixture
def servers() -> Iterator[NameServer]:
    with name_server() as running:
        yield running


@pytest.fixture
def origin() -> Iterator[LiveOrigin]:
    with serving(LiveOrigin()) as running:
        running.bodies["/body"] = b"honest"
        yield running


@pytest.fixture
def fetcher(origin: LiveOrigin, servers: NameServer) -> Iterator[Fetcher]:
    """A fetcher that queries `servers` and may go to `origin`, by any name."""
    opened = Fetcher(AllowedOrigins.parse([f"127.0.0.1:{origin.port}"]), name_servers=[servers.address])
    yield opened
    opened.close()


def request(origin: LiveOrigin, name: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> FetchRequest:
    return FetchRequest(
        url=f"http://{name}.example:{origin.port}/body", max_bytes=1000, timeout_seconds=timeout_seconds
    )


def outcome(result: Fetched | FetchError) -> object:
    return result.body if isinstance(result, Fetched) else result.reason


@pytest.mark.parametrize("silent", [6, 60, 600])
def test_unanswered_names_cost_only_their_own_streams(
    fetcher: Fetcher, origin: LiveOrigin, servers: NameServer, silent: int
) -> None:
    """Six unresponsive name servers of one broadcaster would stop every fetch of the worker.

    Honest fetches come last in the batch: if they waited for silent names they would be answered last, but most are
    answered before half of the silent ones time out.
    """
    hostile = [request(origin, f"silent{number}") for number in range(silent)]
    honest = [request(origin, f"honest{number}") for number in range(10)]
    answers = fetch_as_they_come(fetcher, [*hostile, *honest])
    assert [outcome(answers[silent + number]) for number in range(10)] == [b"honest"] * 10
    assert {outcome(answers[number]) for number in range(silent)} == {"unreachable"}
    assert len({name for name, _ in servers.asked if name.startswith("silent")}) == silent
    assert len(origin.arrived) == 10
    order = list(answers)
    seventh_honest = [at for at, place in enumerate(order) if place >= silent][6]
    assert seventh_honest - 6 < silent / 2


def test_a_silent_name_server_is_reported(fetcher: Fetcher, origin: LiveOrigin) -> None:
    """An operator could not distinguish an unresponsive name server from an unreachable origin."""
    (result,) = fetch_all(fetcher, [request(origin, "silent")])
    assert isinstance(result, FetchError)
    assert "no name server answers about silent.example" in str(result)


def test_a_silent_name_is_not_queried_again_immediately(
    fetcher: Fetcher, origin: LiveOrigin, servers: NameServer
) -> None:
    """Each segment of a playlist with a silent name would block a worker for the whole deadline."""
    assert outcome(fetch_all(fetcher, [request(origin, "silent")])[0]) == "unreachable"
    asked = len(servers.asked)
    assert outcome(fetch_all(fetcher, [request(origin, "silent", timeout_seconds=0.5)])[0]) == "unreachable"
    assert len(servers.asked) == asked


def test_a_server_silent_about_one_family_still_resolves(
    fetcher: Fetcher, origin: LiveOrigin, servers: NameServer
) -> None:
    """Origins behind a common broken kind of name server, which ignores AAAA, could not be watched."""
    assert outcome(fetch_all(fetcher, [request(origin, "half")])[0]) == b"honest"
    assert ("half.example", AAAA) in servers.asked


def test_a_batch_queries_a_name_once(fetcher: Fetcher, origin: LiveOrigin, servers: NameServer) -> None:
    """Fifty streams on one CDN would cost fifty DNS queries a poll."""
    results = fetch_all(fetcher, [request(origin, "cdn")] * 50)
    assert [outcome(result) for result in results] == [b"honest"] * 50
    assert sorted(servers.asked) == [("cdn.example", 1), ("cdn.example", AAAA)]


def test_a_name_that_does_not_exist_is_unreachable(fetcher: Fetcher, origin: LiveOrigin) -> None:
    """A typo in a stream's URL would look like a hostile answer."""
    assert outcome(fetch_all(fetcher, [request(origin, "unknown")])[0]) == "unreachable"


def test_names_of_this_machine_resolve_without_a_server(origin: LiveOrigin) -> None:
    """Origins in the hosts file, or on the machine itself, could not be watched."""
    fetcher = Fetcher(AllowedOrigins.parse([f"127.0.0.1:{origin.port}"]))
    fetched = fetcher.fetch_sync(
        f"http://localhost:{origin.port}/body", max_bytes=1000, timeout_seconds=TIMEOUT_SECONDS
    )
    fetcher.close()
    assert fetched.body == b"honest"


async def _no_address(host: str, port: int) -> list[object]:
    raise OSError(f"no address of {host}")


def test_names_are_evicted() -> None:
    """Hostile playlists that name ever new hosts would fill a worker's memory."""
    from worker.ingest.http.resolver import _MAX_KEPT

    async def ask() -> int:
        names = DnsCache(_no_address)  # type: ignore[arg-type]
        for number in range(_MAX_KEPT + 50):
            await names.settle(f"h{number}.example", 80)
        await names.close()
        return len(names._kept)

    assert asyncio.run(ask()) == _MAX_KEPT
