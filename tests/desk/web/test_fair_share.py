"""Shares of the desk's threads: nobody's requests take them from the others."""

import asyncio
from ipaddress import ip_network

import pytest
from desk_server import RunningDesk
from fastapi import FastAPI
from people_made import Roster

from desk.deployment import DeskDeployment
from desk.errors import RequestRefusedError
from desk.texts.catalogue import load_texts
from desk.web.fair_share import AT_ONCE, MOST_WAITING, FairShare
from desk.web.guard import Guard
from desk.web.services import network_of


def test_one_browser_waits_for_itself_alone() -> None:
    """A moderator who loads a heavy page a hundred times would keep all others from the queue."""

    async def main() -> None:
        shares = FairShare()
        ends = [await shares.turn("kim") for _ in range(AT_ONCE)]
        waiting = [asyncio.ensure_future(shares.turn("kim")) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(RequestRefusedError):
            await shares.turn("kim")
        await shares.turn("lea")
        for _ in range(AT_ONCE + 1):
            await shares.turn("")  # whoever is not signed in
        assert not any(one.done() for one in waiting)
        waiting.pop().cancel()
        for end in ends:
            end()
            end()
        for one in waiting:
            (await one)()
        for _ in range(AT_ONCE):
            await shares.turn("kim")

    asyncio.run(main())


def test_streams_of_events_take_no_turn(running: RunningDesk, roster: Roster) -> None:
    """A moderator's open queue pages would slow their own cases."""
    client = running.signed_in("lea", roster.tokens["lea"])
    for _ in range(AT_ONCE + 1):
        with client.stream("GET", "/queue/events") as stream:
            assert next(stream.iter_raw())
            assert client.get("/queue").status_code == 200


@pytest.mark.parametrize(("network", "browser"), [("192.0.2.7/32", ""), ("127.0.0.1/32", "kim")])
def test_only_the_proxy_says_whose_turn_it_is(network: str, browser: str) -> None:
    """Whoever reaches the desk beside the proxy would take the turns of a moderator by their name."""
    deployment = DeskDeployment(
        origin="https://desk.example",
        host="desk.example",
        listen_host="127.0.0.1",
        listen_port=8300,
        database_url="",
        proxy_from=(ip_network(network),),
        proxy_header="x-person",
        proxy_secret="s" * 64,
    )
    guard = Guard(FastAPI(), deployment=deployment, texts=load_texts())
    scope = {"path": "/queue", "headers": [(b"x-person", b"kim")], "client": ("127.0.0.1", 5000)}
    assert guard._browser(scope) == browser


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unknown", "unknown"),
    ],
)
def test_failures_are_counted_by_network(address: str, counted: str) -> None:
    """Whoever guesses passwords would have a new address for each of them."""
    assert network_of(address) == counted
