"""The head of a case: how urgent, whether it is live, since when, and what has become of it."""

from dataclasses import dataclass
from typing import Final

from desk.cases.case_view import CaseView
from desk.cases.event_values import ms_of, object_of, objects_of, shown, text_of, texts_of, whole_of
from desk.cases.reason_words import SEVERITIES, kind_of, outcome_word, severity_word
from desk.cases.stream_view import StreamView
from desk.texts.catalogue import Texts
from desk.texts.clock import day_clock
from desk.texts.durations import duration

ID_SHOWN: Final = 8
"""Characters of a case's id that its head shows."""


@dataclass(frozen=True, kw_only=True)
class HeadWords:
    """The head of a case."""

    title: str
    case_short: str
    severity: str
    """Empty: it is not known."""
    severity_word: str
    live: bool
    state: str
    """That it is live and for how long, or ended."""
    raised: str
    findings: str
    degraded: tuple[str, ...]
    principles: str
    """Empty: none."""
    for_lead: bool
    drill: str
    """The bar over a case of which nothing is real; empty: it is real."""
    outcome: str
    """Empty: somebody has yet to decide."""


def head_of(view: CaseView, stream: StreamView, texts: Texts) -> HeadWords:
    """Puts the head of a case into words."""
    first = view.first
    severity = text_of(first.get("severity"))
    degraded = sorted({shown(one) for record in view.undecided or view.records for one in _degraded(record)})
    principles = sorted({one for record in view.records for one in _principles(record)})
    raised = min((at for one in view.records if (at := ms_of(one.get("raised"))) is not None), default=None)
    purpose = text_of(first.get("purpose"))
    return HeadWords(
        title=_title(view, stream, texts),
        case_short=shown(view.case_id.removeprefix("case-")[:ID_SHOWN]),
        severity=severity if severity in SEVERITIES else "",
        severity_word=severity_word(severity, texts),
        live=stream.live,
        state=_state(view, stream, texts),
        raised=""
        if raised is None
        else texts(
            "case.raised",
            at=day_clock(raised, view.now_ms, texts),
            ago=duration((view.now_ms - raised) / 1000, texts),
        ),
        findings=_findings(view, texts),
        degraded=tuple(degraded),
        principles=", ".join(map(str, principles)),
        for_lead=first.get("needs_role") == "lead",
        drill=texts(f"case.drill_{purpose}") if purpose in ("drill", "canary") else "",
        outcome="" if view.undecided else _outcomes(view, texts),
    )


def _title(view: CaseView, stream: StreamView, texts: Texts) -> str:
    kind = kind_of(view.first)
    key = "known" if kind == "match" else kind
    found = texts(f"case.kind_{key}", rule=text_of(view.first.get("rule"), "?"))
    if kind == "flood":
        return found
    return texts("case.on_live" if stream.live else "case.on_ended", found=found)


def _state(view: CaseView, stream: StreamView, texts: Texts) -> str:
    if stream.live:
        if stream.on_air_seconds is None:
            return texts("case.live")
        return texts("case.live_for", span=duration(stream.on_air_seconds, texts))
    ended = [at for one in view.records if (at := ms_of(one.get("ended"))) is not None]
    if ended:
        return texts("case.ended_at", at=day_clock(max(ended), view.now_ms, texts))
    return texts("case.ended") if stream.state else texts("case.state_unknown")


def _findings(view: CaseView, texts: Texts) -> str:
    count, undecided = len(view.records), len(view.undecided)
    found = texts("case.findings", count=count) if count != 1 else texts("case.finding")
    if 0 < undecided < count:
        found = texts("case.findings_open", found=found, open=undecided)
    return found


def _outcomes(view: CaseView, texts: Texts) -> str:
    decided = [objects_of(one.get("decisions"))[-1:] for one in view.records]
    words = dict.fromkeys(outcome_word(last.get("outcome"), texts) for one in decided for last in one)
    return texts("case.decided", outcomes=", ".join(words)) if words else texts("case.decided_alone")


def _degraded(record: object) -> list[str]:
    return texts_of(object_of(object_of(object_of(record).get("event")).get("data")).get("degraded"))


def _principles(record: object) -> list[int]:
    found = object_of(object_of(object_of(record).get("event")).get("data")).get("principles")
    return [one for one in map(whole_of, found) if one is not None] if isinstance(found, list) else []
