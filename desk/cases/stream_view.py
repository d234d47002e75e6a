"""The stream of a case as its page reads it: from the registry, as `livewarden streams show` does, or what is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from redis import Redis

from config.errors import PolicyError
from config.policy.policy import load_policy
from config.policy.risk_settings import DEFAULT_RISK, RiskSettings
from desk.cases.case_view import CaseView
from desk.cases.event_values import ms_of, number_of, object_of, objects_of, text_of
from worker.errors import RegistryError, StoreError
from worker.incidents.keys import incident_key
from worker.ingest.status import UNKNOWN, stream_status
from worker.store.redis_client import store_errors

LIVE_STATES: Final = frozenset({"starting", "live", "reset", "stalled", "unreachable", "malformed", UNKNOWN})
"""States of a stream that may show something again."""
MOST_EARLIER: Final = 20


@dataclass(frozen=True, kw_only=True)
class EarlierCase:
    """A decision on the stream before this case."""

    case_id: str
    """Empty: its record is gone."""
    rule: str
    outcome: str
    """As it stands now."""
    decided_ms: int | None


@dataclass(frozen=True, kw_only=True)
class StreamView:
    """A stream at one moment."""

    stream_id: str
    state: str
    """Empty: it is not known."""
    on_air_seconds: float | None
    """Time that the ledger has of it; None: it is not on record."""
    record: Mapping[str, Any] | None
    """As `stream_status` gives it; None: it is not on record any more, or cannot be read."""
    readable: bool
    """False: this user of Redis may not read it, or it is damaged."""
    metadata: Mapping[str, Any]
    earlier: tuple[EarlierCase, ...]
    """The last first."""

    @property
    def live(self) -> bool:
        """Returns whether it may show something again."""
        return self.state in LIVE_STATES


def read_stream(redis: Redis, view: CaseView, *, policy_file: Path | None) -> StreamView:
    """Reads the stream of a case.

    Raises:
        StoreError: Redis failed.
    """
    data = object_of(object_of(view.first.get("event")).get("data"))
    stream_id = text_of(view.first.get("stream_id"))
    record, readable = None, True
    try:
        with store_errors():
            record = stream_status(redis, stream_id, risk=_risk_settings(policy_file))
    except RegistryError:
        pass  # its record has expired
    except StoreError:
        readable = False
    earlier = read_earlier(redis, view)
    if record is None:
        return StreamView(
            stream_id=stream_id,
            state=_state_without_record(view) if readable else text_of(data.get("stream_state")),
            on_air_seconds=None,
            record=None,
            readable=readable,
            metadata=object_of(data.get("metadata")),
            earlier=earlier,
        )
    return StreamView(
        stream_id=stream_id,
        state=text_of(record["state"]),
        on_air_seconds=number_of(record["elapsed_seconds"]),
        record=record,
        readable=True,
        metadata=object_of(record["metadata"]) or object_of(data.get("metadata")),
        earlier=earlier,
    )


def _state_without_record(view: CaseView) -> str:
    """The state as the queue has it: a stream is live until a worker, who checks at least every 10 minutes, has ended
    what was found on it."""
    return UNKNOWN if any(one["end_reason"] is None for one in view.undecided) else "removed"


def read_earlier(redis: Redis, view: CaseView) -> tuple[EarlierCase, ...]:
    """Reads the decisions on the stream that events of the case name, as they stand now.

    Raises:
        StoreError: Redis failed.
    """
    own = {one["incident_id"] for one in view.records}
    named: dict[str, Mapping[str, Any]] = {}
    for record in view.records:
        data = object_of(object_of(record.get("event")).get("data"))
        for one in objects_of(data.get("earlier_decisions")):
            incident_id = text_of(one.get("incident_id"))
            if incident_id and incident_id not in own:
                named.setdefault(incident_id, one)
    found = _records(redis, list(named))
    cases = [
        EarlierCase(
            case_id="" if outcome is None else case or incident_id,
            rule=text_of(one.get("rule"), "?"),
            outcome=outcome or text_of(one.get("outcome"), "?"),
            decided_ms=ms_of(one.get("decided")),
        )
        for (incident_id, one), (case, outcome) in zip(named.items(), found, strict=True)
    ]
    return tuple(sorted(cases, key=lambda one: -(one.decided_ms or 0))[:MOST_EARLIER])


def _records(redis: Redis, incident_ids: Sequence[str]) -> list[tuple[str | None, str | None]]:
    if not incident_ids:
        return []
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        for one in incident_ids:
            pipe.hmget(incident_key(one), ["case", "outcome"])
        answers = pipe.execute(raise_on_error=False)
    return [(one[0], one[1]) if isinstance(one, list) else (None, None) for one in answers]


def _risk_settings(policy_file: Path | None) -> RiskSettings:
    """The weights of the policy in the desk's settings; the built-in ones where it cannot be used."""
    try:
        changed = (0, 0) if policy_file is None else (policy_file.stat().st_mtime_ns, policy_file.stat().st_size)
        return _loaded(policy_file, *changed)
    except (PolicyError, OSError):
        return DEFAULT_RISK


@lru_cache(maxsize=4)
def _loaded(policy_file: Path | None, _changed_ns: int, _size_bytes: int) -> RiskSettings:
    """Reads a policy once for each change: to compile its conditions takes longer than the page."""
    return load_policy(policy_file).risk
