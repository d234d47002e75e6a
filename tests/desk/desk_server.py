"""A desk on loopback, served by uvicorn, and browsers that use it."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from accounts_made import begin_session
from fastapi import FastAPI
from redis import Redis

from config.settings import Settings
from desk.accounts.accounts import Accounts
from desk.accounts.entry_link import EntryLink
from desk.app import make_app
from desk.database.connection import DeskDatabase
from desk.deployment import DeskDeployment
from desk.serving import DeskServer

STARTED_SECONDS = 60
ANSWERED_SECONDS = 60
"""A password is hashed slowly on purpose, and CI's cores are busy."""


@dataclass(kw_only=True)
class HostClock:
    """The host's clock, which a test sets."""

    now_ms: int = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def pass_seconds(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


@dataclass(kw_only=True)
class RunningDesk:
    """A desk that serves, with what a test looks into."""

    origin: str
    app: FastAPI
    accounts: Accounts
    database: DeskDatabase
    clock: HostClock
    clients: list[httpx.Client] = field(default_factory=list)

    def browser(self, **headers: str) -> httpx.Client:
        """A browser without cookies; it sends Origin as browsers do with forms."""
        client = httpx.Client(
            base_url=self.origin, headers={"origin": self.origin, **headers}, timeout=ANSWERED_SECONDS, trust_env=False
        )
        self.clients.append(client)
        return client

    def signed_in(self, name: str, roster_token: str) -> httpx.Client:
        """A browser in which that person, who has an account, is signed in."""
        client = self.browser()
        token = begin_session(self.accounts, name, roster_token)
        client.cookies.set("lw_desk", token, domain="127.0.0.1")
        return client


def csrf_of(client: httpx.Client) -> str:
    """What the forms of a signed-in browser carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/settings").text)
    assert found is not None
    return found[1]


@contextmanager
def serving_desk(
    redis: Redis,
    database: DeskDatabase,
    *,
    clock: HostClock | None = None,
    settings: Settings | None = None,
    entry_link: EntryLink | None = None,
    **deployed: object,
) -> Iterator[RunningDesk]:
    """Serves a desk until the block ends; `deployed`: fields of its DeskDeployment."""
    ticking = HostClock() if clock is None else clock
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        values: dict[str, object] = {
            "origin": f"http://127.0.0.1:{port}",
            "host": f"127.0.0.1:{port}",
            "listen_host": "127.0.0.1",
            "listen_port": port,
            "database_url": "",
            **deployed,
        }
        deployment = DeskDeployment(**values)  # type: ignore[arg-type]
        accounts = Accounts(database, redis, now_ms=ticking, proxy_secret=deployment.proxy_secret)
        app = make_app(
            deployment,
            settings=Settings() if settings is None else settings,
            redis=redis,
            database=database,
            accounts=accounts,
            entry_link=entry_link,
        )
        server = DeskServer(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        desk = RunningDesk(
            origin=f"http://127.0.0.1:{port}", app=app, accounts=accounts, database=database, clock=ticking
        )
        try:
            yield desk
        finally:
            for client in desk.clients:
                client.close()
            server.end()
            thread.join(STARTED_SECONDS)
            assert not thread.is_alive()
            app.state.services.feed.join()
