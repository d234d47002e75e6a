"""`make soak`: six honest channels, one fault at a time, and at the end all figures must add up."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from celery import Celery
from hls_origin import eventually
from redis import Redis
from redis.exceptions import RedisError
from rich import box
from rich.console import Console
from rich.table import Table
from soak_findings import (
    CHILD_KILLED,
    LONGEST_WAIT_SECONDS,
    REDIS_KILLED,
    Fault,
    Seen,
    clock,
    excused,
    problems,
    unaccounted_ms,
)
from soak_origin import Origin, Planted, Trouble, listed_picture, segment_with, serving
from soak_stack import Deployment, deployed

from models.pdq.pdq import hash_rgb
from worker.ingest.messages.refusals import refused_counts
from worker.ingest.pending.segments import pending_ms

SOAK_SECONDS = float(os.environ.get("LIVEWARDEN_SOAK_SECONDS") or "120")
KINDS = (
    "worker killed",
    "hostile redirect",
    CHILD_KILLED,
    "origin 5xx",
    "flood",
    "decoder killed",
    "origin drips",
    "malformed messages",
    REDIS_KILLED,
    "origin restarts",
)
FAULT_EVERY_SECONDS = 20.0 if len(KINDS) * 20.0 <= SOAK_SECONDS else SOAK_SECONDS / len(KINDS)
"""The short form has each kind once."""
PLANT_EVERY_SECONDS = FAULT_EVERY_SECONDS / 2
TROUBLE_SECONDS = 8.0
AWAY_SECONDS = 2.0
SETTLE_SECONDS = 120.0
CHANNELS = tuple(f"honest-{number}" for number in range(6))
HOSTILE_KINDS = ("redirect", "rendition", "uris", "flood", "drip")
MALFORMED = (
    b"",
    b"\xff\xfe\x00",
    b"not json",
    b"[]",
    b"{}",
    b'{"body": 3}',
    b'{"body": "W10=", "headers": {"task": "livewarden.segment"}, "properties": {}}',
    b'{"body": "\x1b[31m", "content-encoding": "binary", "content-type": "application/x-python-serialize"}',
    json.dumps({"body": "eJw=", "headers": {"task": "livewarden.watch_stream", "compression": "application/x-gzip"}}),
    json.dumps({"body": "W1tdLCB7fSwge31d", "content-type": "application/json", "properties": None, "headers": []}),
    b"[" * 50_000,
    b"9" * 100_000,
    json.dumps({"body": "W1tdLCB7fV0=", "headers": {"task": "livewarden.watch_stream", "eta": "2999-01-01T00:00:00"}}),
)
POLICY_HEAD = "version: soak\nupdate_seconds: 30\nrules:\n"


@dataclass
class Soak:
    """Faults and findings of a run."""

    deployment: Deployment
    origin: Origin
    redis: Redis
    begun_at: float = field(default_factory=time.time)
    faults: list[Fault] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)
    hostile: list[str] = field(default_factory=list)
    nonsense: int = 0
    """Messages that were sent and must be refused."""
    not_done: list[str] = field(default_factory=list)
    """Faults that could not be carried out, so that nothing was proved."""
    chance: Random = field(default_factory=lambda: Random(11))

    def strike(self, number: int) -> None:
        """Carries out one fault."""
        kind = KINDS[number % len(KINDS)]
        channel = CHANNELS[number % len(CHANNELS)]
        which = self.chance.randrange(1000)
        strikes: dict[str, Callable[[], str]] = {
            "worker killed": lambda: self.deployment.kill_worker(which),
            CHILD_KILLED: lambda: self.deployment.kill_pool_child(which),
            "decoder killed": lambda: self.deployment.kill_decoder(which),
            REDIS_KILLED: lambda: self.deployment.kill_redis(AWAY_SECONDS),
            "origin 5xx": lambda: self._trouble(channel, Trouble.SERVER_ERROR),
            "origin drips": lambda: self._trouble(channel, Trouble.DRIP),
            "origin restarts": lambda: self._restart(channel),
            "hostile redirect": lambda: self._register_hostile(number, "redirect", "rendition", "uris"),
            "flood": lambda: self._register_hostile(number, "flood", "drip"),
            "malformed messages": self._send_nonsense,
        }
        begun_at = time.time()
        try:
            what = strikes[kind]()
        except Exception as error:  # in a thread, where it would go unnoticed
            what = f"did not happen: {error!r}"
            self.not_done.append(f"{kind} {what}")
        self.faults.append(Fault(kind=kind, what=what, begun_at=begun_at, over_at=time.time()))

    def _trouble(self, channel: str, trouble: Trouble) -> str:
        self.origin.channels[channel].trouble = trouble
        threading.Event().wait(min(TROUBLE_SECONDS, FAULT_EVERY_SECONDS / 2))
        self.origin.channels[channel].trouble = Trouble.NONE
        return channel

    def _restart(self, channel: str) -> str:
        self._trouble(channel, Trouble.RESET)
        self.origin.channels[channel].restart()
        return channel

    def _register_hostile(self, number: int, *kinds: str) -> str:
        for kind in kinds:
            name = f"hostile-{kind}-{number}"
            self.hostile.append(name)
            self.register(name, self.origin.hostile_url(kind, number))
        return ", ".join(kinds)

    def register(self, name: str, url: str) -> None:
        """Registers by task name, as a platform does."""
        with Celery(broker=self.deployment.url) as platform:
            platform.send_task("livewarden.watch_stream", args=[name, url], queue="intake")

    def _send_nonsense(self) -> str:
        for message in MALFORMED:
            self.redis.lpush("intake", message)
            self.nonsense += 1
        return f"{len(MALFORMED)} of them"

    def plant(self, index: int, number: int) -> None:
        """Lets one channel show a listed picture, never one whose origin has a fault now or next."""
        channel = CHANNELS[(number + 2 + 2 * (index % 2)) % len(CHANNELS)]
        planted = Planted(index=index, channel=channel, body=segment_with(listed_picture(index)))
        self.planted.append(planted)
        self.origin.channels[channel].plant(planted)

    def escalations(self) -> dict[str, list[tuple[str, float]]]:
        """Stream and Unix seconds of each raised event by rule; fails if an event is there twice."""
        raised: dict[str, list[tuple[str, float]]] = {}
        ids: list[str] = []
        for entry_id, fields in self.redis.xrange("lw:escalations:critical"):
            event = json.loads(fields["event"])
            ids.append(event["id"])
            if event["type"] == "livewarden.escalation.raised.v1":
                at = int(entry_id.partition("-")[0]) / 1000
                raised.setdefault(event["data"]["rule"], []).append((event["subject"], at))
        assert len(ids) == len(set(ids)), "an event was published twice"
        return raised

    def seen(self) -> list[Seen]:
        raised = self.escalations()
        return [
            Seen(
                planted=planted,
                raised_at=[at for stream, at in raised.get(planted.list_name, []) if stream == planted.channel],
                elsewhere=[stream for stream, _ in raised.get(planted.list_name, []) if stream != planted.channel],
            )
            for planted in self.planted
        ]

    def ledger(self, stream_id: str) -> tuple[dict[str, str], int]:
        """Ledger, and pending milliseconds, of one instant."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(f"lw:coverage:{stream_id}")
            pipe.hgetall(f"lw:pending:{stream_id}")
            ledger, pending = pipe.execute()
        return ledger, pending_ms(pending)


def _write_lists(folder: Path, count: int) -> Path:
    lists = folder / "lists"
    lists.mkdir()
    for index in range(count):
        found = hash_rgb(listed_picture(index))
        (lists / f"plant-{index}.csv").write_text(f"hash\n{found.hex}\n")
    return lists


def _write_policy(folder: Path, count: int) -> Path:
    policy = folder / "policy.yaml"
    rules = [f"  - {{name: plant-{n}, when: 'matched(\"plant-{n}\")', severity: critical}}\n" for n in range(count)]
    policy.write_text(POLICY_HEAD + "".join(rules))
    return policy


@pytest.fixture
def soak(tmp_path: Path) -> Iterator[Soak]:
    count = round(SOAK_SECONDS / PLANT_EVERY_SECONDS) + 2
    with serving(CHANNELS) as origin:
        environment = {
            "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
            "LIVEWARDEN_LISTS_DIR": str(_write_lists(tmp_path, count)),
            "LIVEWARDEN_POLICY_FILE": str(_write_policy(tmp_path, count)),
        }
        with deployed(tmp_path, environment) as deployment, deployment.redis() as redis:
            yield Soak(deployment=deployment, origin=origin, redis=redis)


@pytest.mark.alone
@pytest.mark.timeout(SOAK_SECONDS + SETTLE_SECONDS + 240)
def test_everything_adds_up_after_faults_of_every_kind(soak: Soak) -> None:
    """A planted picture would be missed, or escalated twice, because something else failed at the same time."""
    console = Console(width=120, highlight=False)
    for channel in CHANNELS:
        soak.register(channel, soak.origin.url(channel))
    eventually(
        lambda: all(soak.ledger(channel)[0].get("moderated") for channel in CHANNELS),
        within_seconds=90,
        what="all are watched",
    )
    _go_on(soak, console)
    findings = _end(soak)
    _report(soak, console)
    for finding in findings:
        console.print(f"  {finding}", markup=False)
    assert not findings


def _go_on(soak: Soak, console: Console) -> None:
    """Carries out faults and plants pictures in turn until the time is over."""
    begun = time.monotonic()
    halves = 0
    faults: list[threading.Thread] = []
    pause = threading.Event()
    while (now := time.monotonic() - begun) < SOAK_SECONDS:
        if now >= halves * PLANT_EVERY_SECONDS:
            number = halves // 2
            if halves % 2 == 0:
                fault = threading.Thread(target=soak.strike, args=[number])
                fault.start()
                faults.append(fault)
                console.print(f"{now:6.0f} s  {KINDS[number % len(KINDS)]}")
            soak.plant(halves, number)
            halves += 1
            _forget_hostile(soak, number)
        pause.wait(0.1)
    for fault in faults:
        fault.join()


def _forget_hostile(soak: Soak, number: int) -> None:
    """Removes hostile streams after two further faults, as a platform does."""
    with Celery(broker=soak.deployment.url) as platform:
        for name in soak.hostile:
            if int(name.rpartition("-")[2]) == number - 2:
                try:
                    platform.send_task("livewarden.unwatch_stream", args=[name], queue="intake")
                except Exception as error:
                    print(f"not sent: {error}")  # noqa: T201 - Redis is away


def _end(soak: Soak) -> list[str]:
    """Ends all channels, waits until nothing is pending, and gives the discrepancies."""
    raised = _patiently(lambda: all(seen.raised_at for seen in soak.seen()), SETTLE_SECONDS / 2)
    for channel in soak.origin.channels.values():
        channel.ended = True

    def settled() -> bool:
        states = [soak.redis.hget(f"lw:stream:{channel}", "state") for channel in CHANNELS]
        return all(state == "ended" for state in states) and not any(soak.ledger(name)[1] for name in CHANNELS)

    findings = [] if _patiently(settled, SETTLE_SECONDS / 2) else ["honest channels do not end, or stay pending"]
    findings += [*soak.not_done, *(f"ended by itself: {one}" for one in soak.deployment.ended)]
    if not raised:
        findings += [f"{seen.planted} was never escalated" for seen in soak.seen() if not seen.raised_at]
    for seen in soak.seen():
        if len(seen.raised_at) > 1:
            findings.append(f"{seen.planted} was escalated {len(seen.raised_at)} times")
        if seen.elsewhere:
            findings.append(f"{seen.planted} was escalated on {', '.join(seen.elsewhere)}")
        if seen.wait_seconds is not None and seen.wait_seconds > LONGEST_WAIT_SECONDS:
            findings.append(f"{seen.planted} waited {seen.wait_seconds:.1f} s")
    refused = sum(refused_counts(soak.redis).values())
    if refused != soak.nonsense:
        findings.append(f"{refused} messages were refused, {soak.nonsense} should be")
    return [*findings, *_of_ledgers(soak), *_of_logs(soak)]


def _of_ledgers(soak: Soak) -> Iterator[str]:
    for name in (*CHANNELS, *soak.hostile):
        ledger, pending = soak.ledger(name)
        if not ledger:
            yield f"{name} was never watched"
        if unaccounted_ms(ledger, pending):
            yield f"{name}: {unaccounted_ms(ledger, pending)} ms unaccounted for: {ledger}, pending {pending}"
    for name in CHANNELS:
        made, ledger = soak.origin.channels[name].made_seconds, soak.ledger(name)[0]
        print(f"{name}: {made:.0f} s were made, {ledger}")  # noqa: T201


def _of_logs(soak: Soak) -> Iterator[str]:
    for log in soak.deployment.logs:
        for found in problems(log):
            if not excused(found, soak.faults, soak.deployment.killed):
                yield f"{log.name}: {found.text[:6000]}"
            else:
                print(f"excused: {found.summary}")  # noqa: T201


def _patiently(condition: Callable[[], Any], within_seconds: float) -> bool:
    def holds() -> bool:
        try:
            return bool(condition())
        except RedisError:
            return False

    try:
        eventually(holds, within_seconds=within_seconds, what="")
    except AssertionError:
        return False
    return True


def _report(soak: Soak, console: Console) -> None:
    table = Table(title="The soak", box=box.SIMPLE_HEAD)
    for heading in ("at", "fault", "what", "planted meanwhile", "escalated after"):
        table.add_column(heading, justify="right" if heading.startswith("esc") else "left")
    ends = [*(fault.begun_at for fault in soak.faults[1:]), float("inf")]
    for fault, end in zip(soak.faults, ends, strict=True):
        meanwhile = [s for s in soak.seen() if fault.begun_at <= (s.planted.listed_at or 0) < end]
        waits = [f"{s.wait_seconds:.1f} s" if s.wait_seconds is not None else "never" for s in meanwhile]
        table.add_row(
            clock(fault.begun_at),
            fault.kind,
            fault.what,
            ", ".join(s.planted.channel for s in meanwhile),
            ", ".join(waits),
        )
    console.print(table)
