"""Pictures of a decided case for the platform's own lists: `confirmed` by two people who saw them clear, `allow` for a
time by a lead who opened them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from desk.errors import JudgementRefusedError
from desk.judging.shown_extent import listed_in
from desk.texts.catalogue import Texts
from desk.texts.clock import day_clock
from models.pdq.pdq import PdqHash
from worker.audit.person_views import PersonView
from worker.bank.own_lists import CONFIRMED_QUALITY, Confirmation, allow_match, proposer_of
from worker.errors import BankRequestError, EvidenceError, PeopleError, QueueError
from worker.evidence.item_states import record_of, records_of
from worker.evidence.record import EvidenceRecord
from worker.people.actor import Actor, Role
from worker.queue.confirmations import propose_confirmed
from worker.queue.outcomes import Outcome
from worker.store.redis_client import store_errors

ALLOW_HOURS: Final = (1, 24, 168)
"""Choices of the time for which a harmless picture is allowed."""


@dataclass(frozen=True, kw_only=True)
class ListedPicture:
    """A picture that the person may put on a list."""

    incident_id: str
    ref: str
    name: str
    waits: str
    """Sentence who put it forward; empty: nobody."""
    refused: str
    """Sentence why this person cannot act on it now; empty: they can."""


@dataclass(frozen=True, kw_only=True)
class PictureLists:
    """Choices for the pictures of incidents that were decided in one way."""

    confirm: tuple[ListedPicture, ...] = ()
    allow: tuple[ListedPicture, ...] = ()
    allow_lists: tuple[str, ...] = ()
    hours: tuple[int, ...] = ALLOW_HOURS


def picture_lists(
    redis: Redis,
    records: Sequence[Mapping[str, Any]],
    views: Sequence[PersonView],
    actor: Actor,
    now_ms: int,
    texts: Texts,
) -> PictureLists:
    """The pictures of incidents for the lists that their outcome is for.

    Args:
        records: of incidents that were decided in the same way.
        views: of the case's pictures by this person.

    Raises:
        StoreError: Redis failed.
    """
    outcome = records[0]["decisions"][-1]["outcome"]
    if outcome == Outcome.CSEA_APPARENT and not records[0]["drill"]:
        clear = {view.ref for view in views if view.clear}
        return PictureLists(
            confirm=tuple(
                _confirmable(redis, incident_id, one, actor, now_ms, texts)
                for incident_id, one in _pictures(redis, records, clear)
            )
        )
    lists = tuple(sorted({name for one in records for name in listed_in(one)}))
    if outcome == Outcome.HARMLESS and actor.role is Role.LEAD and lists:
        opened = _pictures(redis, records, {view.ref for view in views})
        return PictureLists(
            allow=tuple(_listed(incident_id, one, now_ms, texts) for incident_id, one in opened if one.pdq),
            allow_lists=lists,
        )
    return PictureLists()


def put_forward(redis: Redis, incident_id: str, ref: str, actor: Actor) -> Confirmation:
    """Puts a picture forward for `confirmed`, or agrees with who did.

    Raises:
        JudgementRefusedError: the queue or the bank refuses it. Nothing was written.
        StoreError: Redis failed.
    """
    try:
        return propose_confirmed(redis, incident_id, ref, actor)
    except (BankRequestError, EvidenceError, PeopleError, QueueError) as error:
        raise JudgementRefusedError("judging.refused_confirm") from error


def allow_picture(
    redis: Redis,
    record: Mapping[str, Any],
    actor: Actor,
    views: Sequence[PersonView],
    *,
    ref: str,
    list_name: str,
    hours: str,
) -> None:
    """Allows a picture of a harmless incident for a time: its list's matches on it are of severity `review`.

    Raises:
        JudgementRefusedError: the incident is not decided as harmless or did not match that list, the picture is not
            its own or was not opened by this lead, or the time is no choice. Nothing was written.
        StoreError: Redis failed.
    """
    decided = record["state"] == "decided" and record["decisions"][-1]["outcome"] == Outcome.HARMLESS
    opened = ref in {view.ref for view in views}
    if not decided or not opened or list_name not in listed_in(record) or hours not in map(str, ALLOW_HOURS):
        raise JudgementRefusedError("judging.refused_allow")
    try:
        with store_errors():
            picture = record_of(redis, str(record["incident_id"]), ref)
        if picture is None or not picture.pdq:
            raise JudgementRefusedError("judging.refused_allow")
        quality = 100 if picture.pdq_quality is None else picture.pdq_quality
        pdq = PdqHash(bits=bytes.fromhex(picture.pdq), quality=quality)
        allow_match(redis, pdq, list_name=list_name, hours=float(hours), actor=actor)
    except (BankRequestError, EvidenceError, PeopleError) as error:
        raise JudgementRefusedError("judging.refused_allow") from error


def _pictures(redis: Redis, records: Sequence[Mapping[str, Any]], refs: set[str]) -> list[tuple[str, EvidenceRecord]]:
    """Pictures of these references, each with its incident."""
    if not refs:
        return []
    ids = [str(one["incident_id"]) for one in records]
    return [(one, kept) for one in ids for kept in records_of(redis, one) if kept.ref in refs]


def _listed(
    incident_id: str, kept: EvidenceRecord, now_ms: int, texts: Texts, *, waits: str = "", refused: str = ""
) -> ListedPicture:
    at = day_clock(kept.capture_ms, now_ms, texts)
    quality = "–" if kept.pdq_quality is None else str(kept.pdq_quality)
    name = texts("judging.picture", at=at, quality=quality)
    return ListedPicture(incident_id=incident_id, ref=kept.ref, name=name, waits=waits, refused=refused)


def _confirmable(
    redis: Redis, incident_id: str, kept: EvidenceRecord, actor: Actor, now_ms: int, texts: Texts
) -> ListedPicture:
    if not kept.pdq or kept.pdq_quality is None or kept.pdq_quality < CONFIRMED_QUALITY:
        refused = texts("judging.confirm_quality", least=CONFIRMED_QUALITY)
        return _listed(incident_id, kept, now_ms, texts, refused=refused)
    proposer = proposer_of(redis, bytes.fromhex(kept.pdq))
    if proposer is None:
        return _listed(incident_id, kept, now_ms, texts)
    if actor.is_person(proposer):
        return _listed(incident_id, kept, now_ms, texts, refused=texts("judging.confirm_yours"))
    return _listed(incident_id, kept, now_ms, texts, waits=texts("judging.confirm_by", by=proposer))
