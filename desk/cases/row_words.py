"""Rows of the queue in words: severity, finding, stream, waiting, holder. No picture, and no link to one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from desk.cases.open_cases import DRILLS, OpenCase
from desk.texts.catalogue import Texts
from desk.texts.durations import duration

LIVE_STATES: Final = frozenset({"starting", "live", "reset", "stalled", "unreachable", "malformed"})
"""States of a stream that may show something again, as its newest event has them."""
ENDED_STATES: Final = frozenset({"ended", "removed"})


@dataclass(frozen=True, kw_only=True)
class CaseRow:
    """The words of one row."""

    case_id: str
    severity: str
    severity_word: str
    finding: str
    details: str
    tag: str
    """Empty: none."""
    drill: bool
    where: str
    state: str
    """`live`, `ended` or empty: unknown."""
    state_word: str
    waiting: str
    holder: str
    mine: bool


def row_of(case: OpenCase, reader: str, texts: Texts) -> CaseRow:
    """Puts a case into words for `reader`. Strings of platforms stay as they are: templates escape them."""
    finding, details = _finding(case, texts)
    state = _state(case.data)
    drill = case.first.purpose in DRILLS
    return CaseRow(
        case_id=case.case_id,
        severity=case.first.severity,
        severity_word=texts(f"severity.{case.first.severity}"),
        finding=finding,
        details=" · ".join(details),
        tag=texts("queue.tag_drill") if drill else texts("queue.tag_lead") if case.first.needs_role == "lead" else "",
        drill=drill,
        where=_where(case, texts),
        state=state,
        state_word=texts(f"queue.state_{state or 'unknown'}"),
        waiting=duration(case.first.age_seconds, texts),
        holder=_holder(case, reader, texts),
        mine=case.is_held_by(reader),
    )


def _finding(case: OpenCase, texts: Texts) -> tuple[str, list[str]]:
    """Names what was found, and the figures to judge it by; the nearest match comes before scores."""
    data = case.data
    matches = [one for one in _objects(data.get("matches")) if isinstance(one.get("distance"), int)]
    if matches:
        nearest = min(matches, key=lambda one: int(one["distance"]))
        return texts("finding.match"), [
            texts("finding.list", name=str(nearest.get("list", "?"))),
            texts("finding.distance", distance=int(nearest["distance"])),
        ]
    if "gap" in data:
        return texts("finding.gap"), [texts("finding.rule", name=case.first.rule)]
    if "signal" in data:
        return texts("finding.signal"), [texts("finding.rule", name=case.first.rule)]
    scores = list(_scores(data.get("scores")))
    if scores:
        name, score = max(scores, key=lambda one: one[1])
        return texts("finding.score"), [texts("finding.score_of", name=name, score=f"{score:.2f}")]
    return texts("finding.other"), [texts("finding.rule", name=case.first.rule)]


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _scores(value: object) -> Iterator[tuple[str, float]]:
    for name, score in value.items() if isinstance(value, dict) else ():
        if isinstance(score, int | float) and not isinstance(score, bool):
            yield str(name), float(score)


def _state(data: Mapping[str, Any]) -> str:
    state = data.get("stream_state")
    if not isinstance(state, str):
        return ""
    return "live" if state in LIVE_STATES else "ended" if state in ENDED_STATES else ""


def _where(case: OpenCase, texts: Texts) -> str:
    parts = [case.first.stream_id, texts("finding.rule", name=case.first.rule)]
    if case.first.streams > 1:
        parts.append(texts("queue.more_streams", count=case.first.streams - 1))
    if len(case.incidents) > 1:
        parts.append(texts("queue.more_incidents", count=len(case.incidents) - 1))
    return " · ".join(parts)


def _holder(case: OpenCase, reader: str, texts: Texts) -> str:
    others: Sequence[str] = [one for one in case.holders if one != reader]
    if case.is_held_by(reader):
        return texts("queue.held_by_you")
    return ", ".join(others) or texts("queue.held_by_nobody")
