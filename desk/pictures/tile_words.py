"""Tiles: closed pictures that say what to expect, and why one does not open. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from desk.cases.event_values import number_of, object_of, objects_of, text_of
from desk.pictures.failed_openings import PASSING
from desk.pictures.kept_pictures import CasePictures, KeptPicture, list_name
from desk.texts.catalogue import Texts
from desk.texts.clock import clock
from desk.texts.durations import duration
from worker.evidence.item import EvidenceKind

MOST_BITS: Final = 31
"""The largest distance that counts as a match (`models.bank`)."""
_PLACES: Final = {"damaged": "altered", "dropped": "dropped", "gone": "missing"}
"""Places of items that do not open, with the reason."""


@dataclass(frozen=True, kw_only=True)
class PictureTile:
    """The words of one tile."""

    ref: str
    title: str
    time: str
    lines: tuple[str, ...]
    role: str
    """The word at its foot."""
    broken: str
    """Reason that it does not open; empty: it may."""
    opens: bool
    """It has a button."""
    clear_refused: str
    """Reason that this person is not shown it clear; empty: they may be."""


@dataclass(frozen=True, kw_only=True)
class TileReader:
    """The person whom tiles are for."""

    is_lead: bool
    no_pictures: bool
    """Their setting."""


def tiles_of(
    pictures: CasePictures, failures: dict[str, str], reader: TileReader, texts: Texts, *, now_ms: int
) -> tuple[PictureTile, ...]:
    """Puts the pictures of a case into words.

    Args:
        failures: reasons that pictures did not open a while ago, by reference.
    """
    numbers = _numbers(pictures)
    return tuple(
        _tile(one, pictures, numbers, failures.get(one.record.ref, ""), reader, texts, now_ms) for one in pictures.shown
    )


def _numbers(pictures: CasePictures) -> dict[str, int]:
    """Numbers of the pictures on which a rule held, by reference, from 1."""
    hits = [one.record.ref for one in pictures.shown if one.record.kind is EvidenceKind.HIT]
    return {ref: number for number, ref in enumerate(hits, 1)}


def _tile(
    one: KeptPicture,
    pictures: CasePictures,
    numbers: dict[str, int],
    failure: str,
    reader: TileReader,
    texts: Texts,
    now_ms: int,
) -> PictureTile:
    record = one.record
    broken = _PLACES.get(one.state.place) or failure
    if broken == "missing" and one.state.waits:
        broken = "waiting"
    if one.needs_lead and not reader.is_lead:
        broken = "lead"
    expected = _expected(one, pictures, texts)
    lines = (texts(f"picture_refused.{broken}"),) if broken else expected
    if not broken and one.state.waits:
        lines = (*expected, texts("pictures.waits"))
    return PictureTile(
        ref=record.ref,
        title=_title(one, pictures, numbers, texts),
        time=_time(one, texts, now_ms),
        lines=lines,
        role=texts(f"pictures.role_{broken or _role(one)}"),
        broken=broken,
        opens=not reader.no_pictures and (not broken or broken in PASSING),
        clear_refused="" if reader.is_lead or not one.matched else "known",
    )


def _role(one: KeptPicture) -> str:
    return "look" if one.is_look else str(one.record.kind)


def _time(one: KeptPicture, texts: Texts, now_ms: int) -> str:
    """Time of the day; of a look that is younger than a minute its age."""
    age_ms = now_ms - one.record.capture_ms
    if one.is_look and 0 <= age_ms < 60_000:
        return texts("pictures.old", age=duration(age_ms / 1000, texts))
    return clock(one.record.capture_ms)


def _title(one: KeptPicture, pictures: CasePictures, numbers: dict[str, int], texts: Texts) -> str:
    if one.is_look:
        return texts("pictures.now")
    if one.record.kind is EvidenceKind.HIT:
        kind = "match" if one.record.distance is not None else "hit"
        return texts(f"pictures.{kind}", number=numbers[one.record.ref])
    first = pictures.first_hit
    if first is None:
        return texts("pictures.context")
    after_ms = one.record.capture_ms - first.record.capture_ms
    if after_ms < 0:
        return texts("pictures.before")
    return texts("pictures.after", age=duration(after_ms / 1000, texts))


def _expected(one: KeptPicture, pictures: CasePictures, texts: Texts) -> tuple[str, ...]:
    record = one.record
    if one.is_look:
        return (texts("pictures.expect_look"),)
    if record.kind is EvidenceKind.CONTEXT:
        first = pictures.first_hit
        before = first is not None and record.capture_ms < first.record.capture_ms
        return texts("pictures.expect_context"), texts(f"pictures.why_{'before' if before else 'after'}")
    lines = []
    if record.distance is not None:
        name = list_name(one.incident, record.distance)
        key = "pictures.expect_match" if name else "pictures.expect_match_unnamed"
        lines.append(texts(key, list=name, distance=record.distance, most=MOST_BITS))
    if record.score:
        lines.append(_score_words(one, texts))
    lines.append(texts("pictures.why_hit", rules=", ".join(one.rules)))
    return tuple(lines)


def _score_words(one: KeptPicture, texts: Texts) -> str:
    """The score beside its threshold, where the rule's condition has one only."""
    score = f"{one.record.score:.2f}"
    limits = list(_limits(one))
    if len(limits) != 1:
        return texts("pictures.expect_score", score=score)
    name, value = limits[0]
    return texts("pictures.expect_score_of", name=name, score=score, threshold=f"{value:.2f}")


def _limits(one: KeptPicture) -> list[tuple[str, float]]:
    """Names and thresholds of scores in the condition of the picture's rule."""
    data: Any = object_of(object_of(one.incident.get("event")).get("data"))
    if one.record.rule != one.incident.get("rule"):
        return []
    found = objects_of(object_of(data.get("condition")).get("thresholds"))
    named = [
        (text_of(limit.get("name")), number_of(limit.get("value"))) for limit in found if limit.get("of") == "score"
    ]
    return [(name, value) for name, value in named if name and value is not None]
