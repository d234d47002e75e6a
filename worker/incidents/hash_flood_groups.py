"""Group incidents: one hash that matches many streams is one incident, which names them all.

A hash floods by the size of a set that every match on it touches, so by a step that knows no order. The incident is
decided on optimistically, like those of a stream; a stream that joins changes no state but its set of streams, so that
a thousand streams at once do not wait for one another.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from redis import Redis

from config.facts import FLOOD_RULE, Hit, ListedHash, ListMatch, Severity
from config.policy.policy import Policy
from config.policy.rules import Flood
from models.bank.index import MAX_DISTANCE
from worker.bank.quarantine import quarantined
from worker.errors import StoreError
from worker.events.cloudevent import derived_id
from worker.events.operations import OPERATIONS
from worker.incidents.cases import own_case
from worker.incidents.earlier_decisions import earlier_decisions
from worker.incidents.event_data import flood_condition, no_evidence
from worker.incidents.events import NamedStreams, escalation
from worker.incidents.findings import Extent, Finding, Incident, nearest_of
from worker.incidents.hash_flood import FilteredHits, FloodCandidate, filter_hits, flood_candidates
from worker.incidents.hash_flood_record import FloodGroup, publish_joined, streams_of, update_ms
from worker.incidents.keys import flood_key, named_key
from worker.incidents.rule_state import LastDecision, RuleState, StreamIncidents
from worker.incidents.segment_context import SegmentContext
from worker.incidents.store import read_groups, read_incidents, rounds
from worker.store.redis_client import now_ms, run_script, store_errors

MAX_EARLIER = 100
"""Streams whose incidents are read; a flood is of about ten streams at least."""

COOLDOWN_MS = 300_000
"""After a lead's decision, what its streams show until so much later is decided too, as with rules by default."""


def group_floods(redis: Redis, *, context: SegmentContext, hits: Sequence[Hit], policy: Policy) -> FilteredHits:
    """Takes hashes that are in quarantine or flood out of a segment's hits, after the stream has joined the group
    incident.

    May be called again for the same segment: a stream joins once.

    Raises:
        StoreError: Redis failed; the stream may have joined.
    """
    seen = flood_candidates(hits, policy)
    purpose = context.stream.purpose
    if not seen or purpose == "canary":
        return FilteredHits(hits=tuple(hits))
    listed = sorted({one for candidate in seen for one in candidate.hashes})
    with store_errors():
        silent = quarantined(redis, listed)
        if policy.flood is not None:
            flooding = _flooding(redis, context, listed, policy.flood) - silent
            silent = silent | flooding
            for candidate, hashes in _distinct(seen, flooding):
                _join(redis, context, candidate, hashes, policy)
    return filter_hits(hits, silent, policy) if silent else FilteredHits(hits=tuple(hits))


def _flooding(
    redis: Redis, context: SegmentContext, listed: Sequence[ListedHash], flood: Flood
) -> frozenset[ListedHash]:
    """Returns the hashes that match many streams now, and those that have an open group."""
    purpose = context.stream.purpose
    _, *counts = run_script(
        redis,
        "flood_touch",
        keys=[flood_key(purpose, one) for one in listed],
        args=[context.stream.stream_id, round(flood.within_seconds * 1000)],
    )
    groups = read_groups(redis, purpose).rules.values()
    grouped = {one for state in groups if state.incident is not None for one in state.hashes}
    return frozenset(
        one for one, count in zip(listed, counts, strict=True) if int(count) >= flood.streams or one in grouped
    )


def _distinct(
    seen: Sequence[FloodCandidate], flooding: Set[ListedHash]
) -> list[tuple[FloodCandidate, frozenset[ListedHash]]]:
    """The first picture of each set of hashes that flood together."""
    first: dict[frozenset[ListedHash], FloodCandidate] = {}
    for candidate in seen:
        hashes = candidate.hashes & flooding
        if hashes:
            first.setdefault(hashes, candidate)
    return [(candidate, hashes) for hashes, candidate in first.items()]


def _join(
    redis: Redis, context: SegmentContext, candidate: FloodCandidate, hashes: frozenset[ListedHash], policy: Policy
) -> None:
    """Adds the stream to the group of these hashes, or makes a group."""
    for _ in rounds():
        groups = read_groups(redis, context.stream.purpose)
        joined = [(name, state) for name, state in groups.rules.items() if hashes & set(state.hashes)]
        decided = [state.decided for _, state in joined if state.decided is not None]
        if not context.looks_back and _is_decided(redis, context, candidate, hashes, decided):
            return
        opened = sorted((each for each in joined if each[1].incident is not None), key=lambda each: each[0])
        if opened:
            done = _join_open(redis, context, candidate, hashes, groups, opened[0], policy)
        else:
            done = _raise(redis, context, candidate, hashes, groups, decided, policy)
        if done:
            return
    raise StoreError(f"stream {context.stream.stream_id}: groups changed all the time while one was decided on")


def _is_decided(
    redis: Redis,
    context: SegmentContext,
    candidate: FloodCandidate,
    hashes: Set[ListedHash],
    decided: Sequence[LastDecision],
) -> bool:
    """Returns whether a person has decided on such a picture of this stream already."""
    live_ms, matches = context.live_ms(candidate.cause.capture_ms), _among(candidate, hashes)
    return any(
        redis.zscore(named_key(incident_id), context.stream.stream_id) is not None
        for one in decided
        if one.covers(live_ms, Severity.CRITICAL, matches)
        for incident_id in one.incidents
    )


def _matched_lately(
    redis: Redis, purpose: str, one: ListedHash, capture_ms: int, decided: Sequence[LastDecision]
) -> dict[str, int]:
    """Streams on which the hash matched, with the time; without those for which a person has decided on it."""
    streams = streams_of(redis, flood_key(purpose, one))
    farthest = (ListMatch(list=one.list, entry=one.entry, distance=MAX_DISTANCE),)
    for each in decided:
        # How near it came on them is not on record: where it came nearer than was decided on, they join anew.
        if each.covers(capture_ms, Severity.CRITICAL, farthest):
            for incident_id in each.incidents:
                for stream in streams_of(redis, named_key(incident_id)):
                    streams.pop(stream, None)
    return streams


def _among(candidate: FloodCandidate, hashes: Set[ListedHash]) -> tuple[ListMatch, ...]:
    return nearest_of(match for match in candidate.matches if match.listed in hashes)


def _raise(
    redis: Redis,
    context: SegmentContext,
    candidate: FloodCandidate,
    hashes: frozenset[ListedHash],
    groups: StreamIncidents,
    decided: Sequence[LastDecision],
    policy: Policy,
) -> bool:
    purpose, stream_id = context.stream.purpose, context.stream.stream_id
    now = now_ms(redis)
    matches = _among(candidate, hashes)
    nearest = matches[0].listed
    name = f"{nearest.list}/{nearest.entry}"
    streams = {stream_id: now}
    for one in sorted(hashes):
        matched = _matched_lately(redis, purpose, one, context.live_ms(candidate.cause.capture_ms), decided)
        streams = matched | streams
    before = groups.rules.get(name, RuleState())
    new_id = derived_id("incident", purpose, name, stream_id, context.generation, context.segment_key)[:24]
    incident = Incident(
        incident_id=new_id,
        generation=context.generation,
        rule=FLOOD_RULE,
        purpose=purpose,
        finding=Finding(
            hits=len(streams),
            severity=Severity.CRITICAL,
            captured_first_ms=candidate.cause.capture_ms,
            captured_last_ms=candidate.cause.capture_ms,
            principles=candidate.principles,
            matches=matches,
        ),
        raised_ms=now,
        published_ms=now,
        cooldown_ms=COOLDOWN_MS,
        worse_published=True,
        case_id=own_case(new_id),
        predecessor=before.predecessor,
        needs_role="lead",
        judging=policy.judging(),
    )
    ordered = sorted(streams, key=lambda stream: (streams[stream], stream))
    named = replace(NamedStreams.of(ordered), incidents=tuple(_earlier(redis, ordered, hashes, purpose)))
    states = (before, *read_incidents(redis, stream_id, purpose).rules.values())
    event = escalation(
        context,
        incident,
        candidate.cause,
        previous_severity=None,
        now_ms=now,
        condition=None if policy.flood is None else flood_condition(policy.flood),
        earlier=earlier_decisions(redis, stream_id, purpose, states),
        named=named,
        evidence=no_evidence("flood"),
    )
    group = FloodGroup(
        purpose=purpose, name=name, state=replace(before, incident=incident, hashes=tuple(sorted(hashes)))
    )
    return group.write(
        redis,
        groups,
        streams=streams,
        events=[event, replace(event, stream_key=OPERATIONS)],
        named_count=len(streams),
        due_ms=now + update_ms(policy),
    )


def _earlier(redis: Redis, streams: Sequence[str], hashes: Set[ListedHash], purpose: str) -> Iterator[str]:
    """Open incidents of single streams that these hashes raised, before they were found on many.

    They are not closed: other matches may be among their grounds, and no person has decided.
    """
    for stream in streams[:MAX_EARLIER]:
        for state in read_incidents(redis, stream, purpose).rules.values():
            incident = state.incident
            if incident is not None and hashes & {match.listed for match in incident.finding.matches}:
                yield incident.incident_id


def _join_open(
    redis: Redis,
    context: SegmentContext,
    candidate: FloodCandidate,
    hashes: frozenset[ListedHash],
    groups: StreamIncidents,
    opened: tuple[str, RuleState],
    policy: Policy,
) -> bool:
    name, state = opened
    assert state.incident is not None
    more = hashes - set(state.hashes)
    finding, matches = state.incident.finding, _among(candidate, hashes)
    worse = Extent.of(finding).surpassed_by(finding.severity, matches)
    known = redis.zscore(named_key(state.incident.incident_id), context.stream.stream_id)
    if known is not None and not more and not worse:
        return True
    group = FloodGroup(purpose=context.stream.purpose, name=name, state=state)
    if more or worse:
        finding = replace(finding, matches=nearest_of((*finding.matches, *matches)))
        incident = replace(state.incident, finding=finding)
        group = replace(
            group, state=replace(state, incident=incident, hashes=tuple(sorted({*state.hashes, *more}))), changed=True
        )
    now = now_ms(redis)
    due_ms = now if worse else state.incident.published_ms + update_ms(policy)
    streams = {context.stream.stream_id: now}
    if not group.write(redis, groups, streams=streams, due_ms=due_ms, captured_ms=candidate.cause.capture_ms):
        return False
    if due_ms <= now:
        publish_joined(redis, group.purpose, name, deployment=context.deployment, policy=policy)
    return True
