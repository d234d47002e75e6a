"""The commit of a segment: incidents, escalations, ledger and the pending record, in one step that is on disk."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from redis import Redis

from config.facts import Hit, ListedHash, SegmentFacts
from config.policy.evaluation import judge_in_order
from config.policy.policy import Policy
from worker.bank.quarantine import silent_in_windows
from worker.errors import StoreError
from worker.incidents.events import Event
from worker.incidents.evidence_commit import NO_CHANGE, EvidenceChange, advance_on_record
from worker.incidents.hash_flood import FilteredHits
from worker.incidents.hash_flood_groups import group_floods
from worker.incidents.incident_rules import RuleAdvance
from worker.incidents.keys import incidents_key, windows_key
from worker.incidents.order_store import KEPT_SECONDS, OrderChange, read_in_order
from worker.incidents.segment_context import SegmentContext
from worker.incidents.segment_evidence import NO_EVIDENCE, SegmentEvidence
from worker.incidents.store import (
    event_record,
    incident_record,
    is_wrong_type,
    read_incidents,
    rounds,
    set_aside,
    states_record,
)
from worker.ingest.pending.segments import tries_key
from worker.store import redis_keys
from worker.store.redis_client import ScriptCall, now_ms, run_beside_to_disk, store_errors


class Settled(StrEnum):
    """The outcome of a commit."""

    SETTLED = "settled"
    """Written now."""
    ENDED = "ended"
    """It was not pending any more: another worker has ended it, and nothing was written."""
    LATE = "late"
    """Another worker has ended it, its hits were not known, and are published now; the ledger has the other's
    account."""


KNOWN_SECONDS: Final = 120
"""For which the published hits of a segment are remembered: well above the time for which a task may run."""

AGAIN_SECONDS: Final = 4.0
"""For which a write is sent again whose answer is lost: only who knows that it settled a segment logs its verdicts."""

_NO_ORDER: Final = OrderChange()
_NO_STEP: Final = RuleAdvance(rules={}, incidents=(), events=())


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """One attempt to settle a segment, as other workers see it."""

    hits: tuple[str, ...]
    """Hits of the segment that are published once this is written, ascending."""
    after: str = ""
    """Hits published before, as Redis has them, of a segment that another has ended; empty: it is pending."""


@dataclass(frozen=True, kw_only=True)
class SettleResult:
    """The result of `settle`."""

    outcome: Settled
    events: tuple[Event, ...] = ()
    """Published with it."""
    settled_ms: int | None = None
    """Redis's clock when it was decided; segments settled later on the stream have no earlier one. None: there was
    nothing to decide."""
    version: int = 0
    """Version of the stream's incidents that it was decided on: gives the order within one millisecond."""
    silent: frozenset[ListedHash] = frozenset()
    """Hashes that raised nothing here, since they were in quarantine or flooded."""
    problems: tuple[str, ...] = ()
    """Slugs for `degraded`: rules evaluated in order that could not be evaluated."""
    unneeded: frozenset[str] = frozenset()
    """References of sealed pictures that no incident takes, now or later."""
    beside: Any = None
    """The answer of the script that ran beside; an error where it failed; None: there is none."""


def settle(
    redis: Redis,
    *,
    context: SegmentContext,
    hits: Sequence[Hit],
    policy: Policy,
    coverage_increments: Mapping[str, int],
    stream_fields: Mapping[str, str],
    segment: SegmentFacts | None = None,
    evidence: SegmentEvidence = NO_EVIDENCE,
    beside: ScriptCall | None = None,
) -> SettleResult:
    """Ends a pending segment, once, whatever is redelivered or dies on the way.

    Decides optimistically: reads the stream's state, decides here, and writes by one script if nothing has changed
    meanwhile; else it reads again. Two workers may have had the segment: the first has its account, and hits that only
    the second has found are published too. When this returns, its events are on Redis's disk.
    Hits that rest on hashes in quarantine, or on those that flood, are only counted; in a flood the stream has joined a
    group's incident.

    Args:
        hits: as `policy.evaluate` gave them for the segment's samples; none for a segment that was skipped or failed.
        coverage_increments: field of `lw:coverage:{id}` to milliseconds or count.
        stream_fields: field of `lw:stream:{id}` to its new value.
        segment: for rules that are evaluated in order, also where nothing was seen of it: others may have waited for
            it. None: looking back, these are not evaluated.
        evidence: sealed pictures of the segment, which are in the spool. Incidents take theirs in the same step.
        beside: an idempotent script that runs after each write, in its round trip and its write to the disk.

    Raises:
        StoreError: Redis failed, or did not confirm that it is on disk; the segment may have been settled. Call again.
    """
    commit = _Commit(
        redis=redis,
        context=context,
        policy=policy,
        coverage_increments=coverage_increments,
        stream_fields=stream_fields,
        segment=segment,
        evidence=evidence,
        beside=beside,
    )
    try:
        result = commit.settle(hits)
    except StoreError as error:
        # A damaged state of the stream must not keep its findings from being published.
        if not is_wrong_type(error) or not set_aside(redis, context.stream.stream_id):
            raise
        result = commit.settle(hits)
    return replace(result, beside=commit.answers[-1] if commit.answers else None)


@dataclass(frozen=True, kw_only=True)
class _Round:
    """The decision on one state of the stream."""

    version: int
    now_ms: int
    step: RuleAdvance
    order: OrderChange
    silent: frozenset[ListedHash]
    evidence: EvidenceChange
    problems: tuple[str, ...] = ()

    def result(self, outcome: Settled, evidence: SegmentEvidence) -> SettleResult:
        """The result once this is written, or another worker has ended the segment."""
        return SettleResult(
            outcome=outcome,
            events=() if outcome is Settled.ENDED else self.step.events,
            settled_ms=self.now_ms,
            version=self.version,
            silent=self.silent,
            problems=self.problems,
            # An answer may have been lost: what an earlier try of this segment wrote may need them.
            unneeded=frozenset() if outcome is Settled.ENDED else self.evidence.unneeded(evidence),
        )


@dataclass(frozen=True, kw_only=True)
class _Commit:
    """The arguments of `settle`, and its steps."""

    redis: Redis
    context: SegmentContext
    policy: Policy
    coverage_increments: Mapping[str, int]
    stream_fields: Mapping[str, str]
    segment: SegmentFacts | None
    evidence: SegmentEvidence
    beside: ScriptCall | None = None
    answers: list[Any] = field(default_factory=list)
    """Answers of the script beside, one a write."""

    def settle(self, hits: Sequence[Hit]) -> SettleResult:
        """Decides and writes until no other change came in between."""
        filtered = group_floods(self.redis, context=self.context, hits=hits, policy=self.policy)
        in_order = None
        if self.segment is not None and self.policy.in_order:
            in_windows = silent_in_windows(self.redis, self.segment, self.policy)
            in_order = replace(self.segment, silent=filtered.silent | in_windows)
        attempt = _Attempt(hits=tuple(sorted({_name(hit) for hit in filtered.hits})))
        if not filtered.hits and not filtered.muted and in_order is None:
            written = self._write(None, attempt, self.coverage_increments, self.stream_fields)
            left = NO_CHANGE.unneeded(self.evidence) if written == "settled" else frozenset[str]()
            return SettleResult(outcome=Settled(written), unneeded=left)
        for _ in rounds():
            round_ = self._decide(filtered, in_order)
            fields = dict(self.stream_fields)
            if round_.problems:
                fields["degraded"] = json.dumps(sorted({*self.context.degraded, *round_.problems}))
            written = self._write(round_, attempt, self.coverage_increments, fields)
            if written == "ended" and self.segment is not None and filtered.hits:
                return self._settle_late(filtered, attempt)
            if written != "clash":
                return round_.result(Settled(written), self.evidence)
        raise self._clashed()

    def _settle_late(self, filtered: FilteredHits, attempt: _Attempt) -> SettleResult:
        """Publishes hits that were not known when another worker ended the segment."""
        tries = tries_key(self.context.stream.stream_id, self.context.segment_key)
        for _ in rounds():
            with store_errors():
                before = str(self.redis.hget(tries, "hits") or "[]")
            known = frozenset(json.loads(before))
            new = tuple(hit for hit in filtered.hits if _name(hit) not in known)
            if not new:
                return SettleResult(outcome=Settled.ENDED)
            round_ = self._decide(FilteredHits(hits=new, silent=filtered.silent), None)
            now_known = _Attempt(hits=tuple(sorted(known.union(attempt.hits))), after=before)
            if self._write(round_, now_known, {}, {}) == "late":
                return round_.result(Settled.LATE, self.evidence)
        raise self._clashed()

    def _clashed(self) -> StoreError:
        return StoreError(f"stream {self.context.stream.stream_id}: its incidents changed all the time")

    def _decide(self, immediate: FilteredHits, segment: SegmentFacts | None) -> _Round:
        redis, policy, context = self.redis, self.policy, self.context
        stream_id, purpose = context.stream.stream_id, context.stream.purpose
        if segment is None:
            with store_errors():
                state, now = read_incidents(redis, stream_id, purpose), now_ms(redis)
            step, change = advance_on_record(
                redis, state, context, immediate, policy, evidence=self.evidence, now_ms=now
            )
            return _Round(
                version=state.version,
                now_ms=now,
                step=step,
                order=_NO_ORDER,
                silent=immediate.silent,
                evidence=change,
            )
        with store_errors():
            read = read_in_order(redis, stream_id, segment.series, purpose=purpose, but=segment.key)
            now = now_ms(redis)
        judged = judge_in_order(policy, read.order, segment, earliest_pending=read.earliest_pending)
        filtered = immediate.joined(group_floods(redis, context=context, hits=judged.hits, policy=policy))
        silent = filtered.silent | segment.silent
        # Whichever hit revealed that a hash is silent, no hit names it: so it is logged, and replayed.
        filtered = filtered.without(silent, policy)
        if judged.problems:
            context = replace(context, degraded=tuple(sorted({*context.degraded, *judged.problems})))
        step, change = advance_on_record(
            redis, read.incidents, context, filtered, policy, evidence=self.evidence, now_ms=now
        )
        return _Round(
            version=read.incidents.version,
            now_ms=now,
            step=step,
            order=OrderChange.of(segment.series, judged.state, read.over),
            silent=silent,
            evidence=change,
            problems=judged.problems,
        )

    def _write(
        self,
        round_: _Round | None,
        attempt: _Attempt,
        coverage_increments: Mapping[str, int],
        stream_fields: Mapping[str, str],
    ) -> str:
        context = self.context
        step, order, change = _NO_STEP, _NO_ORDER, NO_CHANGE
        if round_ is not None:
            step, order, change = round_.step, round_.order, round_.evidence
        stream_id = context.stream.stream_id
        call = ScriptCall(
            name="settle",
            keys=[
                redis_keys.PENDING.of(stream_id),
                redis_keys.OVERDUE.name,
                incidents_key(stream_id),
                redis_keys.COVERAGE.of(stream_id),
                redis_keys.STREAM.of(stream_id),
                windows_key(stream_id),
                tries_key(stream_id, context.segment_key),
            ],
            args=[
                context.segment_key,
                f"{stream_id} {context.segment_key}",
                "" if round_ is None else round_.version,
                json.dumps(states_record(step.rules, step.case, context.stream.purpose)),
                json.dumps([incident_record(stream_id, incident) for incident in step.incidents]),
                json.dumps([event_record(event) for event in step.events]),
                json.dumps({name: str(increment) for name, increment in coverage_increments.items()}),
                json.dumps(dict(stream_fields)),
                order.series,
                order.text,
                json.dumps(order.over),
                KEPT_SECONDS,
                json.dumps(attempt.hits),
                KNOWN_SECONDS,
                attempt.after,
                context.stream.purpose,
                change.to_json(self.evidence),
            ],
        )
        answer, told = run_beside_to_disk(self.redis, call, self.beside, again_seconds=AGAIN_SECONDS)
        self.answers.append(told)
        return str(answer)


def _name(hit: Hit) -> str:
    """Names a hit: the same for the same picture, rule and matches, whichever worker found it."""
    listed = " ".join(sorted(f"{match.list}/{match.entry}" for match in hit.matches))
    return f"{hit.rule} {hit.capture_ms} {listed}"
