"""One try to record a person's answer on an incident: as a decision, or as a judgement that waits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis import Redis

from worker.audit.entries import Act, audit_entry
from worker.incidents.decision_events import decision_made
from worker.incidents.events import Event, escalation_closed
from worker.incidents.incident_end import close
from worker.incidents.interrupt_events import about_incident, interrupt_asked
from worker.incidents.keys import DECISIONS, FLOODS_DUE, entries_key, incident_key, incidents_key, named_key
from worker.incidents.rule_state import encode
from worker.people.actor import Actor
from worker.queue.answers import Decision, Judgement
from worker.queue.outcomes import Outcome
from worker.queue.record_fields import LONGEST_LEASE_MS
from worker.queue.second_judge import GivenJudgement, JudgingState, JudgingStep
from worker.queue.undecided import Undecided
from worker.store import redis_keys
from worker.store.redis_client import run_script_to_disk

KEPT_SECONDS = redis_keys.INCIDENT.seconds
"""The time for which the record of a decided incident stays: the year for which the REPORT Act requires reports to be
preserved, and a month for an inquiry."""


@dataclass(frozen=True, kw_only=True)
class DecisionRound:
    """One try to record a person's answer on an incident, as it was just read."""

    redis: Redis
    found: Undecided
    state: JudgingState
    given: GivenJudgement
    actor: Actor
    deployment: str
    audited: bool = False
    """The act is in the audit log already."""

    @property
    def _incident_id(self) -> str:
        return self.found.incident.incident_id

    @property
    def _keys(self) -> list[str]:
        """The incident, its entries, the incidents that its state is kept with, and decisions."""
        return [
            incident_key(self._incident_id),
            entries_key(self._incident_id),
            incidents_key(self.found.kept.owner),
            DECISIONS,
        ]

    @property
    def refusal(self) -> str:
        """Reason why nobody may make this decision; empty: it may be made."""
        if self.found.worse:
            return f"{self.found.worse} came since: take it again"
        if self.given.outcome is Outcome.HARMLESS and self.found.listed and not self.given.note.strip():
            # A person has classified that picture as known material before.
            listed = ", ".join(self.found.listed)
            return f"it matches list {listed}: `harmless` needs a note that says why (--note)"
        return ""

    def decide(self) -> tuple[Sequence[Any], Decision | None]:
        """Returns the script's answer, and the decision if it was made."""
        found, given, now = self.found, self.given, self.found.now_ms
        published, actions = self.state.published(given), self.state.actions(given)
        taken_ms = found.taken_ms(given.by)
        closing = escalation_closed(
            found.newest,
            outcome=given.outcome,
            deployment=self.deployment,
            now_ms=now,
            named=found.named,
            taken_ms=taken_ms,
        )
        made = decision_made(
            found.incident,
            newest=found.newest,
            stream_id=found.stream_id,
            deployment=self.deployment,
            outcome=given.outcome,
            by=given.by,
            note=given.note,
            now_ms=now,
            named=found.named,
            taken_ms=taken_ms,
            verified=given.verified,
            category=given.category,
            actions=actions,
            judgements=[one.to_data() for one in published],
        )
        left = found.left(self.deployment)
        after = close(found.before, now_ms=now, ended=found.ended)
        if left is not None:
            after = replace(after, incident=left.incident)
        interrupt = self._interrupt(self.state.interrupts(given))
        answer = run_script_to_disk(
            self.redis,
            "decide",
            keys=[
                *self._keys,
                *([] if found.named is None else [named_key(self._incident_id)]),
                *([] if left is None else [named_key(left.incident.incident_id), FLOODS_DUE]),
            ],
            args=[
                self._incident_id,
                given.by,
                given.outcome,
                given.note,
                now,
                found.kept.version,
                found.kept.field,
                encode(after),
                made.text,
                closing.stream_key,
                closing.text,
                LONGEST_LEASE_MS,
                KEPT_SECONDS,
                found.fields.get("take_token", ""),
                int(bool(self.refusal)),
                self.actor.proof,
                self._audit(Act.DECISION, **({"judges": len(published)} if published else {})),
                self.state.token,
                "" if self.state.first is None else self.state.first.by,
                "" if interrupt is None else interrupt.text,
                *([] if found.named is None else [len(found.streams)]),
                *([] if left is None else left.as_args()),
            ],
        )
        if answer[0] != "decided":
            return answer, None
        return answer, Decision(
            incident_id=self._incident_id,
            stream_id=found.stream_id,
            rule=found.fields["rule"],
            outcome=given.outcome,
            by=given.by,
            decided_ms=now,
            verified=given.verified,
            event=made.text,
            category=given.category,
            actions=actions,
            interrupted=bool(answer[1]),
            judges=len(published) or 1,
        )

    def judge(self, step: JudgingStep, wait_ms: int) -> tuple[Sequence[Any], Judgement | None]:
        """Returns the script's answer, and the judgement if it was recorded."""
        found, given = self.found, self.given
        event, disagreed = found.fields["event"], step is JudgingStep.DISAGREE
        if disagreed:
            fields = self.state.disagreeing_fields(given)
        else:
            fields = self.state.waiting_fields(given, event=event, wait_ms=wait_ms)
        interrupt = self._interrupt(given.interrupt and found.interrupts_on_first)
        answer = run_script_to_disk(
            self.redis,
            "judge",
            keys=self._keys,
            args=[
                self._incident_id,
                given.by,
                self.actor.proof,
                LONGEST_LEASE_MS,
                found.kept.version,
                found.fields.get("take_token", ""),
                self.state.token,
                event,
                int(bool(self.refusal)),
                self._audit(Act.JUDGEMENT, disagreed=disagreed, set_aside=self.state.set_aside),
                "" if interrupt is None else interrupt.text,
                found.kept.field if disagreed else "",
                *(found.needing_lead() if disagreed else ("", "")),
                *(part for pair in fields.items() for part in pair),
            ],
        )
        if answer[0] != "judged":
            return answer, None
        return answer, Judgement(
            incident_id=self._incident_id,
            stream_id=found.stream_id,
            rule=found.fields["rule"],
            outcome=given.outcome,
            by=given.by,
            judged_ms=given.judged_ms,
            verified=given.verified,
            disagreed=disagreed,
            until_ms=None if disagreed else given.judged_ms + wait_ms,
            set_aside=self.state.set_aside,
            interrupted=bool(answer[1]),
        )

    def _interrupt(self, asked: bool) -> Event | None:
        """The request of an interruption; None: none is asked for, nobody is asked of a canary, or nothing is on air
        any more."""
        if not asked or not self.found.interruptible:
            return None
        found = self.found
        return interrupt_asked(
            about_incident(found.incident, newest=found.newest, stream_id=found.stream_id, named=found.named),
            newest=found.newest,
            by=self.given.by,
            verified=self.given.verified,
            deployment=self.deployment,
            now_ms=found.now_ms,
        )

    def _audit(self, act: Act, **details: int | bool) -> str:
        given = self.given
        if self.audited:
            return ""
        return audit_entry(
            act,
            by=given.by,
            verified=given.verified,
            subject=self._incident_id,
            outcome=given.outcome,
            **({} if given.category is None else {"category": str(given.category)}),
            **({"actions": list(map(str, given.actions))} if given.actions else {}),
            **({"interrupt": True} if given.interrupt else {}),
            **details,
        )
