"""Rows of the queue in words: severity, finding, stream, waiting, holder. No picture, and no link to one."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from desk.cases.queue_filter import DRILLS, is_for
from desk.texts.catalogue import Texts
from worker.people.actor import Role, folded
from worker.queue.case_order import LongestWaits, OpenCase
from worker.queue.record_fields import UNREADABLE

VARIANTS: Final = frozenset({"mirror", "rotate", "crop"})


@dataclass(frozen=True, kw_only=True)
class QueueTag:
    """A word beside the finding."""

    text: str
    style: str = ""
    """Class beside `tag`."""


@dataclass(frozen=True, kw_only=True)
class QueueRow:
    """The words of one row. Times are by Redis's clock; the page says how long ago they are, and goes on counting."""

    case_id: str
    row_id: str
    """Id of the row's element: a case's id may be foreign text."""
    severity: str
    severity_word: str
    finding: str
    details: tuple[str, ...]
    tags: tuple[QueueTag, ...]
    stream_id: str
    about: tuple[str, ...]
    live: bool
    state_word: str
    found_ms: int | None
    raised_ms: int
    wait_seconds: int
    past: bool
    holder: str
    """Empty: nobody."""
    mine: bool
    held_ms: int | None
    """Time since which it is held; None: unknown, or nobody holds it."""
    hold: str
    """Reason for which its holder keeps it while away; empty: none."""


def row_of(case: OpenCase, *, reader: str, now_ms: int, waits: LongestWaits, texts: Texts) -> QueueRow:
    """Puts a case into words for `reader`. Strings of platforms stay as they are: templates escape them."""
    finding, *details = _finding(case, texts)
    past = case.is_past(waits, now_ms)
    mine = case.holder is not None and folded(case.holder) == folded(reader)
    return QueueRow(
        case_id=case.case_id,
        row_id=f"row-{hashlib.sha256(case.case_id.encode(errors='surrogatepass')).hexdigest()[:16]}",
        severity=case.severity,
        severity_word=texts(f"severity.{case.severity}"),
        finding=finding,
        details=tuple(details),
        tags=tuple(_tags(case, reader, past, texts)),
        stream_id=case.stream_id,
        about=tuple(_about(case, texts)),
        live=case.live,
        state_word=texts("queue.state_live" if case.live else "queue.state_ended"),
        found_ms=case.captured_first_ms if case.live else None,
        raised_ms=case.raised_ms,
        wait_seconds=waits.of_ms(case.severity) // 1000,
        past=past,
        holder="" if case.holder is None else texts("queue.held_by_you") if mine else case.holder,
        mine=mine,
        held_ms=case.taken_ms,
        hold=case.hold_why,
    )


def _finding(case: OpenCase, texts: Texts) -> Iterator[str]:
    """Yields the name of what was found, then the figures to judge it by."""
    ground, many = case.ground, case.streams > 1
    match ground.get("kind"):
        case "known":
            yield texts("finding.known_on_many", streams=case.streams) if many else texts("finding.known")
            yield texts("finding.list", name=str(ground.get("list", "?")))
            if "category" in ground:
                yield texts("finding.class", name=str(ground["category"]))
            yield texts("finding.distance", distance=ground.get("distance", "?"))
            if "variant" in ground:
                name = str(ground["variant"])
                yield texts(f"finding.variant_{name}") if name in VARIANTS else name
        case "reported":
            yield texts("finding.reported")
            yield texts("finding.reported_by")
            yield texts("finding.reported_unjudged")
        case "unseen":
            yield texts("finding.unseen")
            yield texts("finding.unseen_why")
        case kind:
            name = texts("finding.rule_name", name=case.rule)
            yield texts("finding.on_many", finding=name, streams=case.streams) if many else name
            value = ground.get("value")
            if kind == "score" and isinstance(value, int | float):
                yield texts("finding.score", name=str(ground.get("name", "?")), score=f"{value:.2f}")


def _about(case: OpenCase, texts: Texts) -> Iterator[str]:
    """Yields what is said after the stream's id."""
    if case.streams > 1:
        yield texts("queue.more_streams", count=case.streams - 1)
    if case.ground.get("kind") == "known":
        yield texts("finding.rule", name=case.rule)
    yield texts("queue.hit" if case.hits == 1 else "queue.hits", count=case.hits)
    if case.incidents > 1:
        yield texts("queue.more_incidents", count=case.incidents)
    asked = case.help
    if asked:
        yield texts("queue.asks", name=case.help_by or "?", what=asked)


def _tags(case: OpenCase, reader: str, past: bool, texts: Texts) -> Iterator[QueueTag]:
    if case.purpose in DRILLS:
        yield QueueTag(text=texts("queue.tag_drill"), style="hatch")
    if UNREADABLE in (case.rule, case.stream_id, case.purpose):
        yield QueueTag(text=texts("queue.tag_damaged"), style="warn")
    if case.ground.get("kind") == "reported":
        yield QueueTag(text=texts("queue.tag_phone"), style="warn")
    if case.needs_role == Role.LEAD:
        yield QueueTag(text=texts("queue.tag_lead"))
    if case.judged:
        yield QueueTag(text=texts("queue.tag_judged"))
    if case.help:
        yield QueueTag(text=texts("queue.tag_help"))
    handed_to = case.handed_to
    if is_for(case, folded(reader)):
        yield QueueTag(text=texts("queue.tag_for_you"))
    elif handed_to is not None:
        yield QueueTag(text=texts("queue.tag_for", name=handed_to))
    if past:
        yield QueueTag(text=texts("queue.tag_past"), style="warn")
