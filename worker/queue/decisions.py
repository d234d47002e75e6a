"""Decisions of people on incidents: each incident is decided once, from whichever place; by two people where the policy
or the first of them asks for a second."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from redis import Redis

from config.facts import Severity
from worker.errors import QueueError, StoreError
from worker.incidents.store import rounds
from worker.people.actor import Actor, Role
from worker.people.roster import may_hold, read_roster
from worker.queue.answers import Decision, Judgement
from worker.queue.case_order import LongestWaits
from worker.queue.decision_round import DecisionRound
from worker.queue.leases import not_held
from worker.queue.second_judge import GivenJudgement, JudgingState, JudgingStep
from worker.queue.undecided import Undecided
from worker.store.redis_client import store_errors

PATIENCE_SECONDS = 10.0
"""The time for which a decision is tried again while segments of the stream change its incidents."""


def decide_incident(
    redis: Redis,
    incident_id: str,
    outcome: str,
    *,
    by: str | Actor,
    note: str = "",
    deployment: str,
    category: str | None = None,
    second: bool = False,
    interrupt: bool = False,
    ask: Sequence[str] = (),
    waits: LongestWaits | None = None,
) -> Decision | Judgement:
    """Records a decision, publishes it, and acknowledges every entry of the incident; it is then on Redis's disk. Where
    a second person is asked for, records a judgement instead, and its judge holds the incident no more.

    On a group's incident it holds for the streams that were shown; those that joined since become an incident of their
    own. An incident that was never taken counts as shown.

    Args:
        category: of what the person saw, for outcomes of child sexual exploitation.
        second: the person asks for a second one; the policy may ask for one too.
        interrupt: the person asks for the interruption of the stream; `csea_apparent` always does.
        ask: what the person asks of the platform (`PlatformAct`).
        waits: the longest waits, after which a lead may decide alone; None: those by default.

    Raises:
        QueueError: the incident is unknown, decided already, held by another person, judged by this one, or worse than
            when it was last taken; or an argument is invalid, or a match on a list is called harmless without a note.
            Nothing was written.
        PeopleError: the roster does not have `by` any more, or the incident needs a role that `by` does not have.
        StoreError: Redis failed, or did not confirm that it is on disk; the decision may have been recorded.
    """
    actor = Actor.named(by)
    stated = GivenJudgement.of(actor, outcome, note=note, category=category, ask=ask, interrupt=interrupt)
    return record_answer(redis, incident_id, stated, actor, deployment=deployment, second=second, waits=waits)


def record_answer(
    redis: Redis,
    incident_id: str,
    stated: GivenJudgement,
    actor: Actor,
    *,
    deployment: str,
    second: bool = False,
    waits: LongestWaits | None = None,
    audited: bool = False,
    only_on: str | None = None,
) -> Decision | Judgement:
    """Records an answer that was checked: see `decide_incident`.

    Args:
        audited: the act is in the audit log already.
        only_on: refused unless this is the incident's newest event; None: on whatever was shown to its holder.
    """
    for _ in rounds(PATIENCE_SECONDS):
        with store_errors():
            found = Undecided.read(redis, incident_id)
        if found is None:
            continue
        if only_on not in (None, found.fields["event"]):
            raise QueueError(f"incident {incident_id}: more of it was found meanwhile")
        given = replace(stated, judged_ms=found.now_ms)
        state = judging_state(redis, found.fields)
        holds = found.fields.get("holder") == actor.name
        step = state.step(given, actor, second=second, now_ms=found.now_ms, holds=holds)
        attempt = DecisionRound(
            redis=redis, found=found, state=state, given=given, actor=actor, deployment=deployment, audited=audited
        )
        done: Decision | Judgement | None
        if step is JudgingStep.DECIDE:
            answer, done = attempt.decide()
        else:
            answer, done = attempt.judge(step, (waits or LongestWaits()).of_ms(Severity(found.fields["severity"])))
        if done is not None:
            return done
        if answer[0] == "refused":
            raise QueueError(f"incident {incident_id}: {attempt.refusal}")
        if answer[0] != "clash":
            raise not_held(incident_id, answer, actor)
    raise StoreError(f"incident {incident_id}: its stream's incidents keep changing: try again")


def judging_state(redis: Redis, fields: Mapping[str, str]) -> JudgingState:
    """The judgements on an incident so far, by its record. One of a person whom the roster lost does not count.

    Raises:
        StoreError: Redis failed.
    """
    if "judge_token" not in fields:
        return JudgingState.of(fields)
    roster = read_roster(redis)
    return JudgingState.of(fields, counts=lambda name: may_hold(roster, name, Role.MODERATOR))
