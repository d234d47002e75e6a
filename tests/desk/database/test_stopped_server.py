"""A PostgreSQL that is stopped while people work: pages say so within seconds, and come back."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
from desk_databases import postgresql
from desk_process import desk_process
from people_made import Roster
from process_tree import children_of
from redis import Redis

REFUSED_SECONDS = 9.0
"""Longest time until a page says that something is wrong: the wait of a statement, and CI's cores have other work."""
SOON_SECONDS = 2.0
"""The same, once the desk knows."""
BACK_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class StoppableServer:
    """A server whose processes can be stopped, as those of a host that swaps or whose disk hangs."""

    url: str
    data: Path

    def send(self, number: signal.Signals) -> None:
        main = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(main, number)  # the first: once it is stopped, no process comes
        for child in children_of(main):
            with suppress(ProcessLookupError):  # one that has ended meanwhile
                os.kill(child, number)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)


@pytest.fixture
def server(ci_or_skip: Callable[[str], NoReturn]) -> Iterator[StoppableServer]:
    with postgresql(ci_or_skip) as (url, data):
        yield StoppableServer(url=url, data=data)


def timed(client: httpx.Client, path: str) -> tuple[int, float]:
    """Status of a page, and the seconds until it came."""
    began = time.monotonic()
    return client.get(path).status_code, time.monotonic() - began


def test_pages_refuse_soon_while_the_server_is_stopped(
    server: StoppableServer, redis: Redis, redis_url: str, roster: Roster, tmp_path: Path
) -> None:
    """Pages would hang for everybody, without a word, until the last thread of the desk hung too."""
    roster.add("kim")
    with (
        desk_process(redis_url, tmp_path, LIVEWARDEN_DESK_DATABASE_URL=server.url) as desk,
        desk.signed_in("kim", roster.tokens["kim"]) as kim,
        ThreadPoolExecutor(60) as pool,
    ):
        assert list(pool.map(lambda _: kim.get("/queue").status_code, range(8))) == [200] * 8  # a pool of connections
        with server.stopped():
            answers = list(pool.map(lambda _: timed(kim, "/queue"), range(8)))
            assert [status for status, _ in answers] == [503] * 8, answers
            assert max(seconds for _, seconds in answers) < REFUSED_SECONDS, answers
            # Whoever comes now waits no more, but for one who tries; pages that need no database come at once.
            later = sorted(seconds for _, seconds in pool.map(lambda _: timed(kim, "/queue"), range(6)))
            assert later[4] < SOON_SECONDS, later
            with desk.client() as stranger:
                assert timed(stranger, "/sign-in")[1] < SOON_SECONDS
        until = time.monotonic() + BACK_SECONDS
        while (status := kim.get("/queue").status_code) != 200 and time.monotonic() < until:
            time.sleep(0.2)
        assert status == 200
        assert "Traceback" not in desk.said
