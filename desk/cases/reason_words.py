"""Reasons of a case in words: for each incident what was found, what its rule asks, and what the finding rests on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from config.facts import Severity
from desk.cases.case_view import CaseView
from desk.cases.event_values import (
    ms_of,
    number_of,
    numbers_of,
    object_of,
    objects_of,
    shown,
    text_of,
    texts_of,
    whole_of,
)
from desk.cases.match_words import Fact, MatchRow, MatchScale, match_rows, matches_of, scale_of
from desk.cases.reason_facts import figure, persistence_text, reason_facts
from desk.texts.catalogue import Texts
from desk.texts.clock import day_clock
from desk.texts.durations import duration

KNOWN_SCHEMA: Final = "urn:livewarden:schema:escalation.v1"
KNOWN_TYPES: Final = frozenset(f"livewarden.escalation.{one}.v1" for one in ("raised", "updated", "closed"))
MOST_STREAMS: Final = 50
"""Streams of a group that a page names; `livewarden queue show` has all."""
SEVERITIES: Final = frozenset(map(str, Severity))
KINDS: Final = ("match", "flood", "gap", "signal", "score", "other", "unreadable")
"""Kinds of reasons; each has its words."""


@dataclass(frozen=True, kw_only=True)
class ReasonWords:
    """One incident as its person reads it. Texts of others are not escaped: templates do that."""

    incident_id: str
    kind: str
    """One of `KINDS`."""
    severity: str
    severity_word: str
    title: str
    text: str
    notices: tuple[str, ...] = ()
    """Warnings: a call to make, a newer version, a check that did not work."""
    facts: tuple[Fact, ...] = ()
    scale: MatchScale | None = None
    matches: tuple[MatchRow, ...] = ()
    """Further matches, the nearest first."""
    streams: tuple[str, ...] = ()
    streams_more: int = 0
    """Streams of the group beside those."""
    rule: str
    policy: str
    description: str
    """The rule's own words; empty: it has none, or an older version raised the incident."""
    when: str
    decided: bool
    state: str
    """Empty: it goes on. Else that it ended, or was decided."""


def reasons_of(view: CaseView, texts: Texts) -> list[ReasonWords]:
    """The reasons of a case, in the order of its records."""
    return [reason_of(one, view.now_ms, texts) for one in view.records]


def kind_of(record: Mapping[str, Any]) -> str:
    """The kind of an incident's reason, by its newest event."""
    event = record.get("event")
    if not isinstance(event, dict):
        return "unreadable"
    data = object_of(event.get("data"))
    if "streams" in data:
        return "flood"
    if "gap" in data:
        return "gap"
    if "signal" in data:
        return "signal"
    # A picture that a classifier's rule called for may match a list too: that is no reason of this rule.
    when = text_of(object_of(data.get("condition")).get("when"))
    if objects_of(data.get("matches")) and ("match" in when or not when):
        return "match"
    return "score" if numbers_of(data.get("scores")) else "other"


def is_of_newer_version(event: Mapping[str, Any]) -> bool:
    """Returns whether a later version wrote an event: what it says beyond this page is not shown."""
    schema = text_of(event.get("dataschema"), KNOWN_SCHEMA).partition("#")[0]
    return schema != KNOWN_SCHEMA or event.get("type") not in KNOWN_TYPES


def reason_of(record: Mapping[str, Any], now_ms: int, texts: Texts) -> ReasonWords:
    """Puts one incident into words."""
    event = object_of(record.get("event"))
    data = object_of(event.get("data"))
    kind = kind_of(record)
    matches = matches_of(data)
    condition = object_of(data.get("condition"))
    rule = text_of(record.get("rule"), "?")
    facts = list(reason_facts(kind, data, now_ms, texts))
    nearest = matches[0] if matches and kind in ("match", "flood") else None
    streams = texts_of(data.get("streams"))
    total = max(whole_of(data.get("streams_total")) or 0, len(streams))
    severity = text_of(record.get("severity"))
    return ReasonWords(
        incident_id=str(record["incident_id"]),
        kind=kind,
        severity=severity if severity in SEVERITIES else "",
        severity_word=severity_word(severity, texts),
        title=_title(kind, rule, data, nearest, total, texts),
        text=_text(kind, record, data, nearest, now_ms, texts),
        notices=tuple(_notices(kind, event, data, texts)),
        facts=tuple(facts),
        scale=None if nearest is None else scale_of(nearest, texts),
        matches=tuple(match_rows(matches if nearest is None else matches[1:], texts)),
        streams=tuple(streams[:MOST_STREAMS]),
        streams_more=max(0, total - len(streams[:MOST_STREAMS])),
        rule=rule,
        policy=text_of(object_of(data.get("versions")).get("policy")),
        description=text_of(condition.get("description")),
        when=text_of(condition.get("when")),
        decided=record.get("state") == "decided",
        state=_state(record, now_ms, texts),
    )


def severity_word(severity: str, texts: Texts) -> str:
    """A severity as it is shown; one that is not known, as it is."""
    return texts(f"severity.{severity}") if severity in SEVERITIES else shown(severity)


def _title(
    kind: str, rule: str, data: Mapping[str, Any], nearest: Mapping[str, Any] | None, total: int, texts: Texts
) -> str:
    if kind == "flood":
        return texts("why.flood", count=total)
    if nearest is not None:
        key = "why.match_allowed" if nearest.get("allowed") is True else "why.match"
        most = whole_of(nearest.get("max_distance"))
        return texts(
            key,
            name=text_of(nearest.get("list"), "?"),
            distance=figure(nearest.get("distance")),
            most=31 if most is None else most,
        )
    if kind == "gap":
        return texts("why.gap")
    if kind == "signal":
        return texts("why.signal")
    if kind == "score":
        scores = numbers_of(data.get("scores"))
        name, value, limit = _asked_score(data, scores)
        if limit is None:
            return texts("why.score_alone", name=name, value=f"{value:.2f}")
        return texts("why.score", name=name, value=f"{value:.2f}", limit=limit)
    return texts("why.unreadable", rule=rule) if kind == "unreadable" else texts("why.other", rule=rule)


def _asked_score(data: Mapping[str, Any], scores: Mapping[str, float]) -> tuple[str, float, str | None]:
    """The score that the title names: the highest that the rule compares; else the highest."""
    limits: dict[str, str] = {}
    for one in objects_of(object_of(data.get("condition")).get("thresholds")):
        value = number_of(one.get("value"))
        if one.get("of") == "score" and value is not None:
            limits.setdefault(text_of(one.get("name")), f"{value:.2f}")
    compared = {name: value for name, value in scores.items() if name in limits} or scores
    name, value = max(compared.items(), key=lambda one: (one[1], one[0]))
    return name, value, limits.get(name)


def _text(
    kind: str,
    record: Mapping[str, Any],
    data: Mapping[str, Any],
    nearest: Mapping[str, Any] | None,
    now_ms: int,
    texts: Texts,
) -> str:
    times = object_of(data.get("times"))
    if kind == "unreadable":
        return texts("why.unreadable_text")
    if kind == "gap":
        gap = object_of(data.get("gap"))
        since = ms_of(gap.get("since"))
        until = ms_of(record.get("ended")) or now_ms
        span = texts("why.unknown") if since is None else duration((until - since) / 1000, texts)
        return texts("why.gap_text", span=span, since=day_clock(since, now_ms, texts))
    if kind == "signal":
        return texts("why.signal_text")
    hits = whole_of(record.get("hits")) or whole_of(data.get("hits")) or 0
    first, last = ms_of(times.get("captured_first")), ms_of(times.get("captured_last"))
    span_seconds = 0.0 if first is None or last is None else (last - first) / 1000
    held = texts("why.held", count=hits, span=duration(span_seconds, texts)) if hits > 1 else texts("why.held_once")
    asked = persistence_text(object_of(object_of(data.get("condition")).get("persistence")), texts)
    sentences = [held] if kind == "flood" or not asked else [texts("why.held_asked", held=held, asked=asked)]
    if nearest is not None:
        sentences.append(texts("why.allowed_text") if nearest.get("allowed") is True else texts("why.distance_text"))
    elif kind == "score":
        sentences.append(texts("why.score_text"))
    if kind == "flood":
        sentences.append(texts("why.flood_text"))
    return " ".join(sentences)


def _notices(kind: str, event: Mapping[str, Any], data: Mapping[str, Any], texts: Texts) -> Iterator[str]:
    if data.get("ask") == "phone":
        yield texts("why.phone")
    elif "ask" in data:
        yield texts("why.ask_unknown", ask=shown(str(data["ask"])))
    if kind != "unreadable" and is_of_newer_version(event):
        yield texts("why.newer", schema=text_of(event.get("type"), "?"))
    if data.get("evidence_none") == "lookback":
        yield texts("why.lookback")
    for one in texts_of(data.get("degraded")):
        yield texts("why.degraded", check=one)


def _state(record: Mapping[str, Any], now_ms: int, texts: Texts) -> str:
    if record.get("state") == "decided":
        decisions: Sequence[Mapping[str, Any]] = objects_of(record.get("decisions"))
        if decisions:
            last = decisions[-1]
            at = day_clock(ms_of(last.get("decided")), now_ms, texts)
            by = text_of(last.get("decided_by"), "?")
            return texts("why.state_decided", outcome=outcome_word(last.get("outcome"), texts), by=by, at=at)
        return texts("why.state_decided_alone")
    ended = ms_of(record.get("ended"))
    if ended is None:
        return ""
    reason = text_of(record.get("end_reason"))
    key = reason.replace("-", "_")
    why = texts(f"why.ended_{key}") if key in ("silence", "stream_ended") else reason
    return texts("why.state_ended", at=day_clock(ended, now_ms, texts), why=why)


OUTCOMES: Final = frozenset(
    {"csea_apparent", "csea_suspected", "child_at_risk", "adult_tos", "other_harm", "harmless", "cannot_judge"}
)


def outcome_word(outcome: object, texts: Texts) -> str:
    """An outcome as it is shown; one that is not known, as it is."""
    named = text_of(outcome, "?")
    return texts(f"found.{named}") if named in OUTCOMES else named
