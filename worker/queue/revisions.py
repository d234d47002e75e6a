"""Revisions: anyone may change a wrong decision, with a reason that is published with it.

A revision changes the record of the incident, and reopens nothing. The first decision brought a silence, in which more
of the same raised nothing. A revision affects it so:

- To `harmless`: not at all. Nobody has reviewed what the stream shows by now, so the silence is not extended.
- To anything else: the silence ends. Its reason was wrong, so what the stream shows from now on raises an incident
  again. What it showed in between stays part of the revised incident, and is in the verdict log.
- To the same outcome, which asks more of the platform: not at all. The decision was right.

Incidents that were raised since are decided separately, and stay as they are.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from redis import Redis

from worker.audit.entries import Act, audit_entry
from worker.errors import QueueError, StoreError
from worker.events.cloudevent import rfc3339
from worker.incidents.decision_events import decision_revised
from worker.incidents.events import Event, NamedStreams
from worker.incidents.findings import IncidentEnd
from worker.incidents.hash_flood_record import streams_of
from worker.incidents.incident_end import end_silence
from worker.incidents.interrupt_events import interrupt_asked
from worker.incidents.keys import DECISIONS, incident_key, incidents_key, named_key
from worker.incidents.rule_state import RuleState, encode
from worker.incidents.store import rounds
from worker.people.actor import Actor
from worker.queue.answers import Decision
from worker.queue.case_acts import refused_person
from worker.queue.decision_round import KEPT_SECONDS
from worker.queue.decisions import PATIENCE_SECONDS
from worker.queue.outcomes import Outcome, check_acts, check_category, check_outcome
from worker.queue.second_judge import GivenJudgement
from worker.queue.undecided import StoredRuleState, read_record
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

MAX_REVISIONS: Final = 20
"""The limit for one incident. Its record keeps each revision, with a note of up to 2,000 characters."""

_OF_THE_INCIDENT: Final = ("incident_id", "stream_id", "generation", "rule", "severity", "drill", "purpose")


def revise(
    redis: Redis,
    incident_id: str,
    outcome: str,
    *,
    by: str | Actor,
    note: str,
    deployment: str,
    was: str | None = None,
    category: str | None = None,
    interrupt: bool = False,
    ask: Sequence[str] = (),
) -> Decision:
    """Changes the decision on an incident, and publishes it with author and reason; it is then on Redis's disk.

    Where the outcome stays, what was asked of the platform stays asked, and so does the category unless one is given.

    Args:
        note: the reason; required.
        was: the outcome to be changed; None: any.
        category: of what the person saw, for outcomes of child sexual exploitation.
        interrupt: the person asks for the interruption of the stream; `csea_apparent` always does.
        ask: what the person asks of the platform (`PlatformAct`).

    Raises:
        QueueError: the incident is unknown or not decided, is decided just so already, its outcome is not `was`, or was
            changed by another person meanwhile; or an argument is invalid. Nothing was written.
        PeopleError: the roster does not have `by` any more, or in a role that may not revise: a decision of two people
            is a lead's to revise.
        StoreError: Redis failed, or did not confirm that it is on disk; the revision may have been recorded.
    """
    actor = Actor.named(by)
    stated = GivenJudgement.of(actor, outcome, note=note, category=category, ask=ask, interrupt=interrupt)
    judged = stated.outcome
    expected = None if was is None else check_outcome(was)
    if not note.strip():
        raise QueueError("--note: a revision needs a reason")
    for _ in rounds(PATIENCE_SECONDS):
        with store_errors():
            record = read_record(redis, incident_id)
            previous = _previous(incident_id, record, expected)
            kept, now = StoredRuleState.read(redis, record), now_ms(redis)
            named = None
            if "kept_under" in record:
                named = NamedStreams.of(list(streams_of(redis, named_key(incident_id))))
        revision = int(record.get("revisions", 0)) + 1
        if revision > MAX_REVISIONS:
            raise QueueError(f"incident {incident_id} was revised {MAX_REVISIONS} times, which is the limit")
        decided = _last_decision(record, named)
        given = _on_top_of(decided, stated) if previous is judged else stated
        request = _interrupt(given, record, decided, deployment=deployment, now_ms=now)
        if previous is judged and request is None and _says_no_more(decided, given):
            raise QueueError(f"incident {incident_id} was decided as {previous} already, by {record['decided_by']}")
        event = decision_revised(
            decided,
            revision=revision,
            outcome=judged,
            by=actor.name,
            note=note,
            deployment=deployment,
            now_ms=now,
            verified=actor.verified,
            category=given.category,
            actions=given.actions,
        )
        before = RuleState() if kept.state is None else kept.state
        stays = judged in (Outcome.HARMLESS, previous)
        after = before if stays else end_silence(before, incident_id, now_ms=now)
        answer = run_script_to_disk(
            redis,
            "revise",
            keys=[
                incident_key(incident_id),
                DECISIONS,
                incidents_key(kept.owner),
                *([named_key(incident_id)] if "kept_under" in record else []),
            ],
            args=[
                incident_id,
                actor.name,
                judged,
                note,
                now,
                revision - 1,
                "" if after == before else kept.version,
                kept.field,
                encode(after),
                event.text,
                KEPT_SECONDS,
                actor.proof,
                audit_entry(
                    Act.REVISION,
                    by=actor.name,
                    verified=actor.verified,
                    subject=incident_id,
                    outcome=judged,
                    was=previous,
                    revision=revision,
                ),
                "" if request is None else request.text,
                int(_by_two(record)),
            ],
        )
        if answer[0] == "revised":
            return Decision(
                incident_id=incident_id,
                stream_id=record["stream_id"],
                rule=record["rule"],
                outcome=judged,
                by=actor.name,
                decided_ms=now,
                verified=actor.verified,
                event=event.text,
                previous=previous,
                category=given.category,
                actions=given.actions,
                interrupted=bool(answer[1]),
            )
        if answer[0] in {"unproven", "role"}:
            raise refused_person(actor, answer, f"revise the decision on incident {incident_id}")
        if answer[0] == "changed":
            raise QueueError(f"incident {incident_id} was revised meanwhile: {answer[1]}, by {answer[2]}")
    raise StoreError(f"incident {incident_id}: its stream's incidents keep changing: try again")


def _by_two(record: Mapping[str, str]) -> bool:
    """Returns whether two persons judged before the first decision: one alone must not overrule them, but for a
    lead."""
    try:
        return "judgements" in json.loads(record.get("decisions", "").partition("\n")[0])["data"]
    except (ValueError, TypeError, KeyError):  # version 0.1.0 kept none
        return False


def _interrupt(
    given: GivenJudgement, record: Mapping[str, str], decided: Mapping[str, Any], *, deployment: str, now_ms: int
) -> Event | None:
    """The request of an interruption; None: none is asked for, a person has asked, or there is nothing to interrupt."""
    over = decided["purpose"] == "canary" or record.get("ended") == IncidentEnd.STREAM_ENDED
    if not given.interrupt or over or "interrupt_entry" in record:
        return None
    return interrupt_asked(
        decided,
        newest=json.loads(record["event"]),
        by=given.by,
        verified=given.verified,
        deployment=deployment,
        now_ms=now_ms,
    )


def _on_top_of(decided: Mapping[str, Any], stated: GivenJudgement) -> GivenJudgement:
    """An answer of the same outcome, with what the decision in force asks and says already."""
    category = check_category(decided.get("category"), stated.outcome) if stated.category is None else stated.category
    actions = check_acts([*decided.get("actions", ()), *stated.actions], stated.outcome)
    return replace(stated, category=category, actions=actions)


def _says_no_more(decided: Mapping[str, Any], given: GivenJudgement) -> bool:
    return (decided.get("category"), set(decided.get("actions", ()))) == (given.category, set(given.actions))


def _previous(incident_id: str, record: Mapping[str, str], expected: Outcome | None) -> Outcome:
    if "outcome" not in record:
        raise QueueError(f"incident {incident_id} is not decided yet: there is nothing to revise")
    previous = Outcome(record["outcome"])
    if expected not in (None, previous):
        raise QueueError(
            f"incident {incident_id} is not {expected}: it was decided as {previous}, by {record['decided_by']}"
        )
    return previous


def _last_decision(record: Mapping[str, str], named: NamedStreams | None) -> Mapping[str, Any]:
    """`data` of the event of the decision in force.

    Version 0.1.0 kept none: then it is derived from the newest escalation event and the group's streams.
    """
    try:
        if "decisions" in record:
            kept: Mapping[str, Any] = json.loads(record["decisions"].rpartition("\n")[2])["data"]
            return kept
        shown = json.loads(record["event"])["data"]
        data = {name: shown[name] for name in _OF_THE_INCIDENT} | ({} if named is None else named.to_data())
        times = {name: shown["times"][name] for name in ("captured_first", "captured_last", "raised")}
        return data | {
            "outcome": record["outcome"],
            "previous_outcome": None,
            "decided_by": record["decided_by"],
            "note": record.get("note", ""),
            "times": times | {"decided": rfc3339(int(record["decided_ms"]))},
        }
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError("the record of the decision cannot be read") from error
