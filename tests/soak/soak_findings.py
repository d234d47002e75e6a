"""What a soak is judged by: tracebacks in logs, ledgers, and planted pictures against what was escalated."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from soak_origin import Planted

LONGEST_WAIT_SECONDS = 30.0
"""From the moment at which a segment is listed to its escalation, whatever happens to other streams."""
LONGEST_WAIT_AFTER_KILL_SECONDS = 60.0
"""The same near a kill: a lease, a redelivery and a worker's start come in between."""
AFTERMATH_SECONDS = 30.0
"""How long after a kill Celery and beat may still write about it: reconnecting backs off."""

_RECORD = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}): \w+/")
_BY_KILLS = re.compile(
    r"^(redis\.exceptions\.(Connection|Timeout|BusyLoading)Error|kombu\.exceptions\.OperationalError|"
    r"billiard\.exceptions\.WorkerLostError|celery\.beat\.SchedulingError|Connection(Refused|Reset)Error|BrokenPipeError)"
)
"""What Celery and beat write of themselves about a Redis that is away and a child that was killed."""
_EXCEPTION = re.compile(r"^[a-z_]\w*(\.\w+)+(:|$)|^\w+(Error|Exception)(:|$)")
_OURS = re.compile(r'File ".*/(worker|sampler|models|config|desk)/[^"]+\.py"')
_SITE = re.compile(r'File ".*/site-packages/.*"')


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that the soak did to the deployment."""

    kind: str
    what: str
    begun_at: float
    """Unix seconds."""
    over_at: float
    excuses_traceback: bool
    """Redis was away, or a child was killed."""


@dataclass(frozen=True, kw_only=True)
class LoggedTraceback:
    """A log record with a traceback."""

    log: str
    at: float | None
    """Unix seconds; None where its record has no time."""
    text: str

    @property
    def ours(self) -> bool:
        """A frame of it lies in livewarden's own code."""
        return any(_OURS.search(line) and not _SITE.search(line) for line in self.text.splitlines())

    @property
    def summary(self) -> str:
        """First and last line."""
        lines = self.text.strip().splitlines()
        return f"{self.log}: {lines[0][:200]} … {lines[-1][:200]}"


def tracebacks(log: Path) -> list[LoggedTraceback]:
    """All records of a log that have one."""
    found: list[LoggedTraceback] = []
    record: list[str] = []
    at: float | None = None

    def close() -> None:
        text = "\n".join(record)
        if "Traceback (most recent call last)" in text:
            found.append(LoggedTraceback(log=log.name, at=at, text=text))

    for line in log.read_text(errors="replace").splitlines():
        stamped = _RECORD.match(line)
        if stamped is not None:
            close()
            record, at = [], datetime.strptime(stamped[1], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
        record.append(line)
    close()
    return found


def excused(found: LoggedTraceback, faults: Iterable[Fault]) -> bool:
    """Celery or beat wrote it themselves while Redis was away or after a child was killed."""
    # The last exception: billiard closes its tracebacks with quotation marks. Our logs indent them.
    raised = [line for line in map(str.strip, found.text.splitlines()) if _EXCEPTION.match(line)]
    return (
        bool(raised and _BY_KILLS.match(raised[-1]))
        and not found.ours
        and any(
            fault.excuses_traceback
            and (found.at is None or fault.begun_at - 1 <= found.at <= fault.over_at + AFTERMATH_SECONDS)
            for fault in faults
        )
    )


def unaccounted_ms(ledger: Mapping[str, str], pending_ms: int) -> int:
    """`elapsed` less all of its parts; 0 where the equation is whole."""
    parts = sum(int(ms) for name, ms in ledger.items() if re.match(r"moderated$|(skipped|failed|missed): ", name))
    return int(ledger.get("elapsed", 0)) - parts - pending_ms


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What became of a planted picture."""

    planted: Planted
    raised_at: Sequence[float]
    """Unix seconds of each escalation of its rule; once is right."""

    @property
    def wait_seconds(self) -> float | None:
        """From listed to escalated; None where it was never listed or never escalated."""
        if not self.raised_at or self.planted.listed_at is None:
            return None
        return self.raised_at[0] - self.planted.listed_at


def longest_wait_seconds(planted: Planted, faults: Iterable[Fault]) -> float:
    """What the picture's escalation may take."""
    assert planted.listed_at is not None
    killed = any(
        fault.excuses_traceback
        and fault.begun_at - AFTERMATH_SECONDS <= planted.listed_at <= fault.over_at + AFTERMATH_SECONDS
        for fault in faults
    )
    return LONGEST_WAIT_AFTER_KILL_SECONDS if killed else LONGEST_WAIT_SECONDS


def clock(at: float) -> str:
    """Unix seconds, for people."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
