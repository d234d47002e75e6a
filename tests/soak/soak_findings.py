"""Criteria of a soak: permitted log lines, ledgers, and planted pictures compared with escalations."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from soak_origin import Planted

LONGEST_WAIT_SECONDS = 30.0
"""Bound from the listing of a segment to its escalation, whatever was killed or happened to other streams."""
AFTERMATH_SECONDS = 15.0
"""Time after a kill in which Celery and beat may still log about it, since they reconnect with backoff."""

REDIS_KILLED = "Redis killed"
CHILD_KILLED = "pool child killed"

_RECORD = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}): (\w+)/[^\]]*\] ?(.*)")
_EXCEPTION = re.compile(r"^[a-z_]\w*(\.\w+)+(:|$)|^\w+(Error|Exception)(:|$)")
_OURS = re.compile(r'File ".*/(worker|sampler|models|config|desk)/[^"]+\.py"')
_SITE = re.compile(r'File ".*/site-packages/.*"')
_TRACEBACK = "Traceback (most recent call last)"

_RAISED: Mapping[str, re.Pattern[str]] = {
    REDIS_KILLED: re.compile(
        r"(redis\.exceptions\.(Connection|Timeout|BusyLoading)Error|kombu\.exceptions\.OperationalError|"
        r"celery\.beat\.SchedulingError|Connection(Refused|Reset)Error|BrokenPipeError)\b"
    ),
    CHILD_KILLED: re.compile(r"billiard\.exceptions\.WorkerLostError\b"),
}
"""Permitted exceptions at the end of a traceback of Celery or beat, by what was killed."""
_SAID: Mapping[str, re.Pattern[str]] = {
    REDIS_KILLED: re.compile(
        r"(consumer: Cannot connect to worker\.runtime\.broker\.Transport:|beat: Connection error: )"
    ),
    CHILD_KILLED: re.compile(r"Process '[^']+' pid:(?P<pid>\d+) exited with 'signal 9 \(SIGKILL\)'"),
}
"""Permitted error lines without a traceback; a named process must be one that the soak killed."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An action of the soak against the deployment."""

    kind: str
    what: str
    begun_at: float
    """Unix seconds."""
    over_at: float


@dataclass(frozen=True, kw_only=True)
class LoggedProblem:
    """A log record that is an error, or has a traceback."""

    log: str
    at: float | None
    """Unix seconds; None if no line before it has a time."""
    level: str
    said: str
    """First line, without time and process."""
    text: str

    @property
    def traceback(self) -> bool:
        return _TRACEBACK in self.text

    @property
    def ours(self) -> bool:
        """True if a frame of it is in livewarden's own code."""
        return any(_OURS.search(line) and not _SITE.search(line) for line in self.text.splitlines())

    @property
    def raised(self) -> str:
        """The last exception: billiard closes its tracebacks with quotation marks. Our logs indent them."""
        lines = [line for line in map(str.strip, self.text.splitlines()) if _EXCEPTION.match(line)]
        return lines[-1] if lines else ""

    @property
    def summary(self) -> str:
        """First and last line."""
        lines = self.text.strip().splitlines()
        return f"{self.log}: {lines[0][:200]} … {lines[-1][:200]}"


def problems(log: Path) -> list[LoggedProblem]:
    """All records of a log that are errors or have a traceback. Lines without a time, such as the last words of a
    process, belong to the record before them."""
    found: list[LoggedProblem] = []
    record: list[str] = []
    at: float | None = None
    level = said = ""

    def close() -> None:
        text = "\n".join(record)
        if level in {"ERROR", "CRITICAL"} or _TRACEBACK in text:
            found.append(LoggedProblem(log=log.name, at=at, level=level, said=said, text=text))

    for line in log.read_text(errors="replace").splitlines():
        stamped = _RECORD.match(line)
        if stamped is not None:
            close()
            record, at = [], datetime.strptime(stamped[1], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
            level, said = stamped[2], stamped[3]
        record.append(line)
    close()
    return found


def excused(found: LoggedProblem, faults: Iterable[Fault], killed: Collection[int] = ()) -> bool:
    """Celery or beat wrote it themselves while Redis was away or after a child was killed.

    Args:
        killed: IDs of the processes that the soak killed.
    """
    return any(
        _is_of(found, fault.kind, killed)
        and (found.at is not None and fault.begun_at - 1 <= found.at <= fault.over_at + AFTERMATH_SECONDS)
        for fault in faults
    )


def _is_of(found: LoggedProblem, kind: str, killed: Collection[int]) -> bool:
    # Celery logs its end so, and that a message could not be acknowledged, which comes again.
    ends = found.level == "CRITICAL" and not found.said.startswith("Couldn't ack ")
    if kind not in _RAISED or found.ours or ends:
        return False
    if found.traceback:
        return _RAISED[kind].match(found.raised) is not None
    said = _SAID[kind].match(found.said)
    pid = None if said is None else said.groupdict().get("pid")
    return said is not None and (pid is None or int(pid) in killed)


def unaccounted_ms(ledger: Mapping[str, str], pending_ms: int) -> int:
    """`elapsed` minus all of its parts; 0 if the equation holds."""
    parts = sum(int(ms) for name, ms in ledger.items() if re.match(r"moderated$|(skipped|failed|missed): ", name))
    return int(ledger.get("elapsed", 0)) - parts - pending_ms


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The outcome of a planted picture."""

    planted: Planted
    raised_at: Sequence[float]
    """Unix seconds of each escalation of its rule on its own stream; exactly one is right."""
    elsewhere: Sequence[str] = field(default=())
    """Other streams on which its rule was escalated: none is right."""

    @property
    def wait_seconds(self) -> float | None:
        """Seconds from listed to escalated; None if it was never listed or never escalated."""
        if not self.raised_at or self.planted.listed_at is None:
            return None
        return self.raised_at[0] - self.planted.listed_at


def clock(at: float) -> str:
    """Unix seconds as a readable time."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
