"""Matches of a look-back: their record in Redis, and the incidents that they raise as live matches do."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, TypedDict

from redis import Redis

from config.errors import LivewardenError
from config.facts import ALLOW, Hit, ListMatch, SampleFacts, StreamFacts
from config.policy.policy import Policy
from worker.bank.allowance import evaluate
from worker.bank.lists_in_force import ListsInForce
from worker.errors import StoreError
from worker.events.cloudevent import derived_id
from worker.incidents.commit import settle
from worker.incidents.segment_context import SegmentContext, Versions
from worker.ingest.pending.segments import SegmentRecord, pending_key
from worker.ingest.registry.signals import stream_facts
from worker.store.redis_client import now_ms
from worker.verdictlog.rows import Row, match_record, sample_facts_of, source_of_row, stream_facts_of

_log = logging.getLogger(__name__)

PART_HITS = 500
"""Recorded in one script, at most one group more: Redis does nothing else meanwhile."""

_OF_WATCH = ("stream_id", "generation", "purpose", "audience", "risk_prior", "metadata", "model_versions")
"""Columns that are recorded once for all matches on one watch of a stream. Not `signals`: they change meanwhile, and a
rule sees those of the picture's time."""

_OF_MATCH = frozenset(field.name for field in fields(ListMatch))
"""Fields that are read of a match; those of a later version are skipped."""

_OF_LIST = ("source", "category", "max_distance")
"""Fields of a match that are its list's settings, which the log does not keep."""


class StoredHit(TypedDict):
    """A picture and a hash that it matches."""

    id: str
    """Derived from picture and entry, so that a second search finds the same id."""
    text: str
    """JSON: `row`, the picture's row in the log; `match`."""


class WatchMatches(TypedDict):
    """The matches on one watch of one stream, as `lookback_found.lua` takes them."""

    name: str
    stream: str
    segment: str
    """Key of the pending segment that is settled: the first picture's segment, and the group."""
    record: str
    """Its record; it has no duration, since that was accounted for when the picture was judged."""
    facts: str
    """JSON: `_OF_WATCH`."""
    hits: list[StoredHit]


Matched = tuple[Row, ListMatch]
"""A logged picture, and a match of it."""


def groups_of(found: Iterable[Matched]) -> list[WatchMatches]:
    """Groups matches by watch and stream, each group by time of capture.

    A match that a picture had when it was judged was raised then: importing a list again raises nothing.
    """
    watches: dict[tuple[str, int], list[Matched]] = {}
    for row, match in sorted(found, key=lambda one: (one[0]["capture_ms"], one[1].distance)):
        if any((match.list, match.entry) == (known["list"], known["entry"]) for known in row["matches"]):
            continue
        watches.setdefault((row["stream_id"], row["generation"]), []).append((row, match))
    return [_group(members) for members in watches.values()]


def _group(members: Sequence[Matched]) -> WatchMatches:
    first, _ = members[0]
    hits = [_hit(row, match) for row, match in members]
    name = derived_id(*(hit["id"] for hit in hits))[:12]
    segment = f"{first['segment_key']}~{name}"
    record = SegmentRecord(
        key=segment,
        generation=first["generation"],
        epoch=0,
        sequence=0,
        url="",
        duration_ms=0,
        capture_ms=first["capture_ms"],
        admitted_ms=first["capture_ms"],
    )
    return WatchMatches(
        name=name,
        stream=first["stream_id"],
        segment=segment,
        record=record.to_json(),
        facts=json.dumps({column: first[column] for column in _OF_WATCH}),
        hits=hits,
    )


def _hit(row: Row, match: ListMatch) -> StoredHit:
    picture = {column: value for column, value in row.items() if column not in _OF_WATCH}
    picture["pdq"] = sample_facts_of(row).pdq  # JSON has no bytes
    # As it was before audits, where the picture is of the watched rendition.
    where = [row["segment_key"], *([row["rendition"]] if row.get("rendition") else [])]
    # Whoever raises it may not have the list yet, but for which these would be its present settings.
    of_list = {name: getattr(match, name) for name in _OF_LIST}
    return StoredHit(
        id=derived_id(row["stream_id"], *where, row["capture_ms"], match.list, match.entry),
        text=json.dumps({"row": picture, "match": match_record(match) | of_list}),
    )


def in_parts(groups: Sequence[WatchMatches]) -> list[list[WatchMatches]]:
    """Divides groups into parts of about PART_HITS hits each; at least one part, which may be empty."""
    parts: list[list[WatchMatches]] = [[]]
    hits = 0
    for group in groups:
        if hits >= PART_HITS:
            parts.append([])
            hits = 0
        parts[-1].append(group)
        hits += len(group["hits"])
    return parts


def raise_watch_matches(redis: Redis, text: str, *, policy: Policy, in_force: ListsInForce, deployment: str) -> None:
    """Raises a group's hits, each once, even if called again; `text` is as `lookback_found.lua` kept it.

    Raises:
        StoreError: Redis failed; the hits may have been raised. Call again.
    """
    group = json.loads(text)
    watch = json.loads(group["facts"])
    pictures: dict[tuple[str, str, int], tuple[Row, list[ListMatch]]] = {}
    for hit in map(json.loads, group["hits"]):
        row = watch | hit["row"]
        place = row["segment_key"], row.get("rendition") or "", row["capture_ms"]
        _, matches = pictures.setdefault(place, (row, []))
        matches.append(_match(hit["match"]))
    first, _ = next(iter(pictures.values()))
    stream = stream_facts_of(first)
    # The facts of when the picture was judged, but for the state of the stream, which is of now.
    state = stream_facts(redis, stream.stream_id, generation=watch["generation"]).state
    context = SegmentContext(
        stream=replace(stream, state=state),
        generation=watch["generation"],
        segment_key=group["segment"],
        deployment=deployment,
        versions=Versions(policy=policy.version, lists=in_force.versions, models=dict(watch["model_versions"] or ())),
        looks_back=True,
    )
    now = now_ms(redis)
    hits = [
        replace(hit, source=source_of_row(row))
        for row, matches in pictures.values()
        for hit in _new_hits(
            policy, stream_facts_of(row), _sample(row, in_force), _completed(matches, in_force), now_ms=now
        )
    ]
    try:
        settle(redis, context=context, hits=hits, policy=policy, coverage_increments={}, stream_fields={})
    except StoreError:
        raise
    except LivewardenError as error:
        # A retry would fail likewise, and keep all others waiting indefinitely.
        _log.error("stream %s: matches of the look-back cannot be raised: %s", watch["stream_id"], error)
        redis.hdel(pending_key(watch["stream_id"]), group["segment"])


def _match(record: dict[str, Any]) -> ListMatch:
    """Reads a record of `match_record`, even of another version."""
    known = {name: value for name, value in record.items() if name in _OF_MATCH}
    return ListMatch(**known | {"tags": tuple(known.get("tags", ()))})


def _sample(row: Row, in_force: ListsInForce) -> SampleFacts:
    sample = sample_facts_of(row)
    return replace(sample, matches=_completed(sample.matches, in_force))


def _completed(matches: Iterable[ListMatch], in_force: ListsInForce) -> tuple[ListMatch, ...]:
    """Adds the present settings of their lists, as far as this host has them."""
    specs = in_force.bank.specs

    def completed(match: ListMatch) -> ListMatch:
        spec = specs.get(match.list)
        if spec is None:
            return match
        return replace(match, source=spec.source, category=spec.category, max_distance=spec.max_distance)

    return tuple(map(completed, matches))


def _new_hits(
    policy: Policy, stream: StreamFacts, sample: SampleFacts, matches: tuple[ListMatch, ...], *, now_ms: int
) -> list[Hit]:
    """The hits that a picture's new `matches` cause: of rules that did not hold without them, and of rules that hold
    for them alone, since a person may have decided without knowing of them."""

    def holding(*of: ListMatch) -> dict[str, Hit]:
        evaluation = evaluate(policy, stream, replace(sample, matches=of), now_ms=now_ms)
        return {hit.rule: hit for hit in evaluation.hits}

    allowed = tuple(match for match in sample.matches if match.list == ALLOW)
    now, before = holding(*sample.matches, *matches), holding(*sample.matches)
    alone, without = holding(*allowed, *matches), holding(*allowed)
    due = (now.keys() - before.keys()) | (alone.keys() - without.keys())
    return [hit for rule, hit in now.items() if rule in due]
