"""Pictures that are kept of a case, as Redis knows them: labels only, nothing is opened."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from config.facts import ALLOW
from desk.cases.case_view import CaseView
from desk.cases.event_values import object_of, shown, text_of
from desk.cases.match_words import matches_of
from worker.evidence.item import EvidenceKind, ItemHead
from worker.evidence.item_states import records_of, states_of
from worker.evidence.record import EvidenceRecord, ItemState
from worker.store.redis_client import store_errors

MOST_SHOWN: Final = 60
"""Tiles of a case, <=; an incident keeps up to twelve hits and as many of context."""
_GONE: Final = ItemState(incident="", place="gone")


@dataclass(frozen=True, kw_only=True)
class KeptPicture:
    """A picture of a case. One that is sealed once for each of several rules is one picture."""

    record: EvidenceRecord
    state: ItemState
    """Its place is `gone` where Redis does not know it any more."""
    incident: Mapping[str, Any]
    """Record of its incident, as `describe_incident` gives it."""
    rules: tuple[str, ...]
    """Rules that it is kept for."""
    matched: bool
    """It is known material, or its surroundings: it, or its incident, matches a list."""

    @property
    def is_look(self) -> bool:
        """A person asked for it: it belongs to no segment."""
        return self.record.kind is EvidenceKind.CONTEXT and not self.record.segment

    @property
    def needs_lead(self) -> bool:
        """Its incident is for a lead."""
        return bool(self.incident["needs_role"] == "lead")


@dataclass(frozen=True, kw_only=True)
class CasePictures:
    """The pictures of a case, by the time that they show."""

    shown: tuple[KeptPicture, ...]
    hidden: tuple[KeptPicture, ...] = ()
    """Those beyond MOST_SHOWN, which tell least: they have no tile, and open by their reference."""

    @property
    def left_out(self) -> int:
        """Pictures without a tile."""
        return len(self.hidden)

    def find(self, ref: str) -> KeptPicture | None:
        """The picture of that reference; None: the case has no such one."""
        return next((one for one in (*self.shown, *self.hidden) if one.record.ref == ref), None)

    @property
    def first_hit(self) -> KeptPicture | None:
        """The first picture on which a rule held; None: none is kept."""
        return next((one for one in self.shown if one.record.kind is EvidenceKind.HIT), None)


def read_pictures(redis: Redis, view: CaseView) -> CasePictures:
    """Reads what is kept of a case.

    Raises:
        StoreError: Redis failed.
    """
    found = [(record, incident) for incident in view.records for record in records_of(redis, incident["incident_id"])]
    with store_errors():
        states = states_of(redis, [record.ref for record, _ in found])
    by_picture: dict[str, KeptPicture] = {}
    # Undecided incidents come first, then the most severe: of several copies the first is shown.
    for record, incident in found:
        before = by_picture.get(record.picture_sha256)
        by_picture[record.picture_sha256] = KeptPicture(
            record=record if before is None else before.record,
            state=states.get(record.ref, _GONE) if before is None else before.state,
            incident=incident if before is None else before.incident,
            rules=_with(() if before is None else before.rules, record.rule),
            matched=is_matched(record, incident) or (before is not None and before.matched),
        )
    pictures = _by_worth(by_picture.values())
    return CasePictures(
        shown=tuple(sorted(pictures[:MOST_SHOWN], key=_time_of)),
        hidden=tuple(sorted(pictures[MOST_SHOWN:], key=_time_of)),
    )


def _by_worth(pictures: Iterable[KeptPicture]) -> list[KeptPicture]:
    """Pictures in the order in which they get a tile: of undecided incidents first, context last, and of each incident
    one in turn, of looks the newest first. A stream that raises one incident after another would leave no tile for the
    newest, nor for what a person asked to see.
    """
    groups: dict[tuple[str, bool, bool], list[KeptPicture]] = {}
    for one in sorted(pictures, key=_time_of):
        context = one.record.kind is EvidenceKind.CONTEXT and not one.is_look
        groups.setdefault((str(one.incident["incident_id"]), context, one.is_look), []).append(one)
    ranked = [
        ((one.incident["state"] == "decided", context, turn), one)
        for (_, context, look), group in groups.items()
        for turn, one in enumerate(reversed(group) if look else group)
    ]
    return [one for _, one in sorted(ranked, key=lambda found: found[0])]


def _time_of(picture: KeptPicture) -> tuple[int, str]:
    return picture.record.capture_ms, picture.record.ref


def is_matched(record: EvidenceRecord, incident: Mapping[str, Any], head: ItemHead | None = None) -> bool:
    """Returns whether a picture counts as known material, which only a lead sees clear: its rule held by a match, its
    head names one, or its incident has one, for what is shown just before and after known material is likely the same.
    """
    named = () if head is None else head.matches
    return record.known or record.distance is not None or any(_counts((*named, *_matches(incident))))


def list_name(incident: Mapping[str, Any], distance: int | None) -> str:
    """The list of the match of that distance; empty: unknown."""
    found = [one for one in _matches(incident) if one.get("distance") == distance]
    return text_of(found[0].get("list")) if found else ""


def _matches(incident: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return matches_of(object_of(object_of(incident.get("event")).get("data")))


def _counts(matches: Iterable[Mapping[str, Any]]) -> Iterable[bool]:
    """A match with the list of what people found harmless makes nothing known material."""
    return (one.get("list") != ALLOW for one in matches)


def _with(rules: tuple[str, ...], rule: str) -> tuple[str, ...]:
    return rules if not rule or shown(rule) in rules else (*rules, shown(rule))
