"""The evidence of a stream's incidents in a commit: what is read for a decision, and the changes that are written with
it, in the same step."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from redis import Redis

from config.policy.policy import Policy
from worker.errors import EvidenceError
from worker.evidence.item import EvidenceKind
from worker.evidence.record import EvidenceRecord
from worker.incidents.earlier_decisions import earlier_decisions
from worker.incidents.evidence_choice import EvidenceChoice, choose, name
from worker.incidents.findings import Extent, Incident
from worker.incidents.hash_flood import FilteredHits
from worker.incidents.incident_rules import RuleAdvance, advance
from worker.incidents.keys import candidates_key, evidence_key
from worker.incidents.rule_state import RuleState, StreamIncidents
from worker.incidents.segment_context import SegmentContext
from worker.incidents.segment_evidence import SegmentEvidence
from worker.store import redis_keys
from worker.store.redis_client import store_errors

CANDIDATE_MS: Final = (redis_keys.CANDIDATES.seconds - 60) * 1000
"""For which (<) a candidate may be promoted: well before it is deleted from the spool."""

MAX_CANDIDATES: Final = 300
"""Candidates that a stream keeps in Redis, the newest: 200 kB. Five minutes of a stream that shows hits alone."""

LOOKBACK, POLICY, NOT_KEPT = "lookback", "policy", "not-kept"
"""Reasons in `data.evidence_none`: pixels are long gone; the policy keeps none of known material; no picture of the
incident's hits is at hand."""


@dataclass(frozen=True, kw_only=True)
class EvidenceChange:
    """The changes to evidence that a commit writes."""

    candidates: Sequence[EvidenceRecord] = ()
    """New ones of the stream."""
    forgotten: Sequence[str] = ()
    """References of candidates that have waited for too long, were malformed, or that their incident does not keep."""
    choices: Mapping[str, EvidenceChoice] = field(default_factory=dict)
    """By incident."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Records of incidents as they were read, by reference: the commit holds for no others."""
    contexts: Mapping[str, str] = field(default_factory=dict)
    """Raised incidents that get context from now on (`segment_evidence.contexts_of`)."""
    event_data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By incident: the part of its events' data."""

    def unneeded(self, evidence: SegmentEvidence) -> frozenset[str]:
        """References of pictures that no incident takes, now or later, once this is written."""
        left = {one.ref for one in evidence.candidates} - {one.ref for one in self.candidates}
        return frozenset(left.union(self.forgotten) - self._promoted)

    @property
    def _promoted(self) -> set[str]:
        return {record.ref for choice in self.choices.values() for record in choice.promoted}

    def to_json(self, evidence: SegmentEvidence) -> str:
        """Returns it as the script takes it, with the context that the segment has for open incidents."""
        promoted = self._promoted
        written: dict[str, Any] = {
            "candidates": {one.ref: one.to_json() for one in self.candidates if one.ref not in promoted},
            "forgotten": [ref for ref in self.forgotten if ref not in promoted],
            "kept": [
                {"incident": incident, "ref": record.ref, "was": self.texts.get(record.ref, ""), "record": text}
                for incident, choice in self.choices.items()
                for record in choice.promoted
                if (text := record.to_json())
            ],
            "dropped": [
                {"incident": incident, "refs": [record.ref for record in choice.evicted]}
                for incident, choice in self.choices.items()
                if choice.evicted
            ],
            "contexts": dict(self.contexts),
            "after": [
                {"incident": one.incident, "slot": str(one.slot), "ref": one.record.ref, "record": one.record.to_json()}
                for one in evidence.after
            ],
        }
        return json.dumps(written) if any(written.values()) else ""


NO_CHANGE: Final = EvidenceChange()


def advance_on_record(
    redis: Redis,
    state: StreamIncidents,
    context: SegmentContext,
    filtered: FilteredHits,
    policy: Policy,
    *,
    evidence: SegmentEvidence,
    now_ms: int,
) -> tuple[RuleAdvance, EvidenceChange]:
    """Advances a stream's incidents by hits; events name the incidents' pictures and earlier decisions on the stream.

    Raises:
        StoreError: Redis failed.
    """

    def of(**more: Any) -> RuleAdvance:
        return advance(
            state, context=context, hits=filtered.hits, now_ms=now_ms, policy=policy, muted=filtered.muted, **more
        )

    step = of()
    joining = _joining(evidence.candidates, filtered, policy)
    change = NO_CHANGE
    if joining or step.incidents:
        read = _read(redis, context.stream.stream_id, step.incidents)
        change = change_of(
            state, step, joining, read, context=context, policy=policy, missing=evidence.missing, now_ms=now_ms
        )
    if not step.events:
        return step, change
    stream = context.stream
    earlier = earlier_decisions(redis, stream.stream_id, stream.purpose, state.rules.values())
    return of(earlier=earlier, evidence=change.event_data), change


@dataclass(frozen=True, kw_only=True)
class StoredEvidence:
    """Evidence as Redis has it; malformed records are no part of it."""

    candidates: Sequence[EvidenceRecord] = ()
    malformed: Sequence[str] = ()
    """References of candidates that cannot be read."""
    had: Mapping[str, Sequence[EvidenceRecord]] = field(default_factory=dict)
    """By incident."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Records of incidents, by reference."""


def change_of(
    state: StreamIncidents,
    step: RuleAdvance,
    joining: Sequence[EvidenceRecord],
    stored: StoredEvidence,
    *,
    context: SegmentContext,
    policy: Policy,
    missing: str,
    now_ms: int,
) -> EvidenceChange:
    """Decides on the pictures of the incidents that a segment's hits have raised or changed. Pure.

    Args:
        step: the advance by these hits.
        joining: candidates of this segment.
        missing: the reason that it lacks some.
    """
    limits = policy.evidence
    # One of the future was sealed before Redis's clock went back: nobody knows how long ago.
    fresh = [one for one in stored.candidates if 0 <= now_ms - one.sealed_ms < CANDIDATE_MS]
    newest = sorted([*fresh, *joining], key=lambda one: (one.sealed_ms, one.ref))[-MAX_CANDIDATES:]
    waiting = {one.ref for one in newest}
    published = {event.incident_id for event in step.events}
    choices: dict[str, EvidenceChoice] = {}
    contexts: dict[str, str] = {}
    event_data: dict[str, Mapping[str, Any]] = {}
    for incident in step.incidents:
        before = state.rules.get(incident.rule, RuleState()).incident
        mine = [one for one in newest if _belongs(one, incident)]
        choice = choose(stored.had.get(incident.incident_id, ()), mine, limits)
        if incident.incident_id in published:
            choice = name(choice, worse=_is_worse(before, incident), limits=limits)
            none = _none(incident, context, policy, missing)
            event_data[incident.incident_id] = data_of(choice.named, none)
        choices[incident.incident_id] = choice
        waiting -= _not_chosen(mine, choice, incident)
        shown = any(one.kind is EvidenceKind.HIT and not one.known for one in choice.kept)
        if before is None and shown and limits.context and incident.purpose != "canary":
            contexts[incident.incident_id] = f"{incident.finding.captured_last_ms} {incident.rule}"
    return EvidenceChange(
        candidates=[one for one in joining if one.ref in waiting],
        forgotten=[*stored.malformed, *(one.ref for one in stored.candidates if one.ref not in waiting)],
        choices=choices,
        texts=stored.texts,
        contexts=contexts,
        event_data=event_data,
    )


def data_of(named: Iterable[EvidenceRecord], none: str) -> dict[str, Any]:
    """Returns the part of an event's data: references and digests, or the reason that there are none."""
    evidence = [
        {
            "ref": one.ref,
            "sha256": one.sha256,
            "kind": str(one.kind),
            "capture_ms": one.capture_ms,
            "picture_sha256": one.picture_sha256,
        }
        for one in named
    ]
    return {"evidence": evidence} if evidence else {"evidence": [], "evidence_none": none}


def _joining(
    candidates: Sequence[EvidenceRecord], filtered: FilteredHits, policy: Policy
) -> tuple[EvidenceRecord, ...]:
    """The candidates that an incident may take: not those of hits that rest on hashes in quarantine or in a flood."""
    hits = {(hit.rule, hit.capture_ms) for hit in filtered.hits}
    rules = {rule for rule, _ in hits}
    in_order = {rule.name for rule in policy.in_order}
    return tuple(
        one
        for one in candidates
        if one.rule in in_order
        or (one.rule, one.capture_ms) in hits
        or (one.kind is EvidenceKind.CONTEXT and one.rule in rules)
    )


def _belongs(candidate: EvidenceRecord, incident: Incident) -> bool:
    """Returns whether a candidate is of an incident's hits, or of their context."""
    if (candidate.rule, candidate.purpose) != (incident.rule, incident.purpose):
        return False
    finding = incident.finding
    return candidate.kind is EvidenceKind.CONTEXT or (
        finding.captured_first_ms <= candidate.capture_ms <= finding.captured_last_ms
    )


def _not_chosen(candidates: Sequence[EvidenceRecord], choice: EvidenceChoice, incident: Incident) -> set[str]:
    """References of candidates that an open incident has no place for: what it keeps only gets more telling, so that
    they would fill spools for ten minutes, for nothing. Context from before its first hit may still find a place."""
    kept = {one.ref for one in choice.kept}
    first_ms = incident.finding.captured_first_ms
    return {one.ref for one in candidates if one.ref not in kept and one.capture_ms >= first_ms}


def _is_worse(before: Incident | None, incident: Incident) -> bool:
    """Returns whether people are told of something worse than they have seen."""
    return before is not None and bool(
        Extent.of(before.finding).surpassed_by(incident.finding.severity, incident.finding.matches)
    )


def _none(incident: Incident, context: SegmentContext, policy: Policy, missing: str) -> str:
    if context.looks_back:
        return LOOKBACK
    if missing:
        return missing
    known = incident.finding.matches and not policy.evidence.known_material
    return POLICY if known else NOT_KEPT


def _read(redis: Redis, stream_id: str, incidents: Iterable[Incident]) -> StoredEvidence:
    ids = [incident.incident_id for incident in incidents]
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(candidates_key(stream_id))
        for incident_id in ids:
            pipe.hgetall(evidence_key(incident_id))
        # A key of another type holds no evidence, and must not keep an escalation from being published.
        waiting, *kept = [{} if isinstance(one, Exception) else one for one in pipe.execute(raise_on_error=False)]
    candidates = _records(waiting)
    return StoredEvidence(
        candidates=list(candidates.values()),
        malformed=[str(ref) for ref in waiting if str(ref) not in candidates],
        had={incident_id: list(_records(found).values()) for incident_id, found in zip(ids, kept, strict=True)},
        texts={str(ref): str(text) for found in kept for ref, text in found.items()},
    )


def _records(found: Mapping[Any, Any]) -> dict[str, EvidenceRecord]:
    records = {}
    for ref, text in found.items():
        try:
            record = EvidenceRecord.read(str(text))
        except EvidenceError:
            continue
        records[str(ref)] = replace(record, ref=str(ref))
    return records
