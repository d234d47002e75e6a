"""Streams with findings that are settled, decided and logged as by workers, without pictures."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from logged import row, write
from redis import Redis

from config.facts import SegmentFacts, StreamFacts
from config.policy.policy import Policy
from worker.bank.keys import QUARANTINE
from worker.incidents.commit import Settled, SettleResult, settle
from worker.incidents.due_ends import end_incidents
from worker.incidents.keys import ENDS, incidents_key
from worker.incidents.rule_state import decode, encode
from worker.incidents.segment_context import SegmentContext, Versions
from worker.ingest.pending.segments import SegmentRecord, pending_key, series_of
from worker.moderation.accounting import LedgerShare
from worker.queue.decisions import decide_incident
from worker.queue.revisions import revise
from worker.replay.replaying import ReplayResult, period_of, replay, rows_to_read
from worker.replay.rows import coverage_of
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms
from worker.verdictlog.outcomes import record_outcomes
from worker.verdictlog.rows import rows_of, sample_facts_of, stream_facts_of

RULES = """
version: "1"
rules:
  - {name: known, when: 'matched("known")', severity: critical, cooldown_seconds: 0.05}
  - {name: nude, when: 'score("m/nsfw") > 0.5', severity: review, persistence: {hits: 3, within_seconds: 10},
     cooldown_seconds: 1}
  - {name: likely, when: 'score("m/nsfw") > 0.9', severity: high, cooldown_seconds: 0}
  - {name: tried, when: 'score("m/nsfw") > 0.2', severity: high, mode: shadow}
"""


IN_ORDER = """
  - {name: often, when: 'window.count("m/nsfw", 0.8, "12s") >= 3', severity: high}
  - {name: mostly, when: 'window.fraction("m/nsfw", 0.5, "6 samples") > 0.6 && score("m/nsfw") > 0.3', severity: review}
  - {name: lasting, when: 'window.samples("14s") >= 6 && window.fraction("m/nsfw", 0.6, "14s") >= 0.5', severity: high}
  - {name: high, when: 'window.max("m/nsfw", "9s") > 0.97 && score("m/nsfw") < 0.2', severity: review}
  - {name: again, when: 'window.matched("known", "20s") >= 2', severity: critical}
  - {name: of, when: 'score("m/nsfw") > 0.85', severity: review, persistence: {hits: 3, of_samples: 5}}
  - {name: unseen, when: 'coverage.moderated_seconds < 1.0 && stream.risk_prior > 0.4', severity: high}
"""


def sample(
    seconds: float,
    *,
    score: float | None = None,
    lists: Iterable[str] = (),
    entry: str = "7",
    distance: int = 4,
    **more: Any,
) -> dict[str, Any]:
    """The findings on one picture, `seconds` from the beginning of its segment."""
    matches = [
        {
            "list": name,
            "entry": entry,
            "distance": distance,
            "video": None,
            "seconds": None,
            "variant": None,
            "version": "",
            "tags": [],
        }
        for name in lists
    ]
    scores = [] if score is None else [("m/nsfw", score)]
    return {"pts_seconds": seconds, "matches": matches, "scores": scores, "looked_at": score is not None, **more}


@dataclass(kw_only=True)
class Life:
    """The parts of a deployment's life that a replay can see."""

    redis: Redis
    policy: Policy
    folder: Path
    began_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self.began_ms = now_ms(self.redis)

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(str(self.folder))

    def next_ms(self) -> int:
        """Waits for the next millisecond and gives it: what was raised before is earlier, what is raised now is not."""
        before = now_ms(self.redis)
        while (now := now_ms(self.redis)) == before:
            pass
        return now

    def admit(self, stream_id: str, segment_key: str, capture_ms: int) -> None:
        """Admits a segment captured so many ms after the beginning.

        Rules that are evaluated in order wait for it only if its key is like real ones: 1.1.sole.SEQUENCE.HEX.
        """
        record = SegmentRecord(
            key=segment_key,
            generation=1,
            epoch=1,
            sequence=0,
            url="http://origin/x.ts",
            duration_ms=2000,
            capture_ms=self.began_ms + capture_ms,
            admitted_ms=self.began_ms + capture_ms,
        )
        self.redis.hset(pending_key(stream_id), segment_key, record.to_json())

    def settle(
        self,
        stream_id: str,
        segment_key: str,
        capture_ms: int,
        samples: Iterable[Mapping[str, Any]],
        *,
        loses: bool = False,
        **stream: Any,
    ) -> SettleResult:
        """Settles an admitted segment; `loses`: its worker dies before it is logged."""
        begin_ms = self.began_ms + capture_ms
        rows = [
            row(
                stream_id=stream_id,
                segment_key=segment_key,
                epoch=1,
                segment_ms=2000,
                moderated_ms=2000,
                unhashable_ms=0,
                failed_ms=[],
                policy_version=self.policy.version,
                **{**one, "capture_ms": begin_ms + round(one["pts_seconds"] * 1000)},
                **stream,
            )
            for one in samples
        ]
        facts = stream_facts_of(rows[0])
        segment = SegmentFacts(
            key=segment_key,
            series=series_of(1, 1),
            capture_ms=begin_ms,
            stream=facts,
            samples=tuple(map(sample_facts_of, rows)),
            coverage=coverage_of(rows[0]),
        )
        settled = settle(
            self.redis,
            context=self._context(facts, segment_key),
            hits=[hit for one in segment.samples for hit in self.policy.evaluate(facts, one).hits],
            policy=self.policy,
            coverage_increments={},
            stream_fields={},
            segment=segment,
        )
        assert settled.outcome is Settled.SETTLED
        if not loses:
            now = now_ms(self.redis)
            reported = {
                "settled_ms": now if settled.settled_ms is None else settled.settled_ms,
                "settled_after": settled.version,
                "silent": [listed._asdict() for listed in settled.silent],
            }
            write(self.store, [{**one, **reported} for one in rows], written_ms=now)
        return settled

    def fail(self, stream_id: str, segment_key: str, capture_ms: int) -> None:
        """Ends an admitted segment without any moderated picture."""
        facts, begin_ms = stream_facts_of(row(stream_id=stream_id)), self.began_ms + capture_ms
        context = self._context(facts, segment_key)
        settled = settle(
            self.redis,
            context=context,
            hits=[],
            policy=self.policy,
            coverage_increments={},
            stream_fields={},
            segment=SegmentFacts(key=segment_key, series=series_of(1, 1), capture_ms=begin_ms, stream=facts),
        )
        now = now_ms(self.redis)
        rows = rows_of(
            context,
            (),
            LedgerShare(moderated_ms=0, unhashable_ms=0, failed_ms={"lost": 2000}),
            epoch=1,
            begin_ms=begin_ms,
            segment_ms=2000,
            settled_ms=now if settled.settled_ms is None else settled.settled_ms,
            settled_after=settled.version,
        )
        write(self.store, rows, written_ms=now)

    def _context(self, facts: StreamFacts, segment_key: str) -> SegmentContext:
        return SegmentContext(
            stream=facts,
            generation=1,
            segment_key=segment_key,
            deployment="test",
            versions=Versions(policy=self.policy.version),
        )

    def quarantine(self, entry: str, *, for_ms: int) -> None:
        """Lets a lead quarantine a listed hash, "list/entry", for some time."""
        note = {"until_ms": now_ms(self.redis) + for_ms, "by": "kim"}
        self.redis.hset(QUARANTINE, entry, json.dumps(note))

    def look_back(self, stream_id: str, segment_key: str, capture_ms: int, lists: Iterable[str]) -> None:
        """Matches a later hash with earlier pictures, and raises it as `worker.lookback.matches` does."""
        facts = StreamFacts(stream_id=stream_id)
        found = row(**sample(0.0, lists=lists), stream_id=stream_id)
        key = f"{segment_key}~0123456789ab"
        self.redis.hset(pending_key(stream_id), key, "{}")
        settle(
            self.redis,
            context=replace(self._context(facts, key), looks_back=True),
            hits=self.policy.evaluate(
                facts, replace(sample_facts_of(found), capture_ms=self.began_ms + capture_ms)
            ).hits,
            policy=self.policy,
            coverage_increments={},
            stream_fields={},
        )

    def decide(self, stream_id: str, rule: str, outcome: str = "harmless") -> bool:
        """Decides on one of the rule's incidents; False: none is open."""
        for incident_id in self.incidents():
            record = self.redis.hgetall(f"lw:incident:{incident_id}")
            if (record["stream_id"], record["rule"]) == (stream_id, rule) and "outcome" not in record:
                decide_incident(self.redis, incident_id, outcome, by="ann", note="seen", deployment="test")
                return True
        return False

    def fall_silent(self, stream_id: str) -> None:
        """Ends the open incidents of a stream, as if it had had no hit for long."""
        key = incidents_key(stream_id)
        for name, text in self.redis.hgetall(key).items():
            if name.startswith("rule:") and (incident := decode(text).incident) is not None:
                before = replace(incident, hit_ms=incident.hit_ms - incident.silence_ms)
                self.redis.hset(key, name, encode(replace(decode(text), incident=before)))
        if self.redis.exists(key):
            self.redis.zadd(ENDS, {stream_id: 0})
            end_incidents(self.redis, deployment="test")

    def revise(self, incident_id: str, outcome: str) -> None:
        """Revises a decision."""
        revise(self.redis, incident_id, outcome, by="lea", note="looked again", deployment="test")

    def incidents(self) -> list[str]:
        """The IDs of all raised incidents."""
        keys = [key for key in self.redis.keys("lw:incident:*") if key.count(":") == 2]
        return sorted(key.rpartition(":")[2] for key in keys)

    def replay(
        self, policy: Policy | None = None, *, since_ms: int | None = None, as_of_rows: int | None = None
    ) -> ReplayResult:
        """The result of a policy, by default the one in force, from `since_ms` of Redis's clock, by default the
        beginning; `as_of_rows`: replayed like a log of so many rows."""
        record_outcomes(self.redis, self.store)
        tried = self.policy if policy is None else policy
        until_ms = now_ms(self.redis) + 3_600_000
        period = period_of(tried, since_ms=0 if since_ms is None else since_ms, until_ms=until_ms)
        rows = rows_to_read(str(self.folder), period) if as_of_rows is None else as_of_rows
        return replay(str(self.folder), tried, period, rows=rows, advance=lambda _: None)
