"""Facts of a reason: list and entry of a match, scores beside thresholds and versions, what a rule asks."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from desk.cases.event_values import ms_of, number_of, numbers_of, object_of, objects_of, text_of, whole_of
from desk.cases.match_words import Fact, match_facts, matches_of
from desk.texts.catalogue import Texts
from desk.texts.clock import clock, day_clock
from desk.texts.durations import duration

MOST_SCORES: Final = 12


_IN_WORDS: Final = frozenset({"budget", "leading"})
"""Reasons of gaps that are no words of their own."""


def reason_facts(kind: str, data: Mapping[str, Any], now_ms: int, texts: Texts) -> Iterator[Fact]:
    versions = object_of(data.get("versions"))
    matches = matches_of(data)
    if kind in ("match", "flood") and matches:
        yield from match_facts(matches[0], object_of(versions.get("lists")), texts)
    if kind == "gap":
        reason = text_of(object_of(data.get("gap")).get("reason"), "?")
        yield Fact(texts("why.fact_reason"), texts(f"why.gap_{reason}") if reason in _IN_WORDS else reason)
        after = number_of(object_of(data.get("condition")).get("after_seconds"))
        if after is not None:
            yield Fact(texts("why.fact_asked"), texts("why.gap_after", span=duration(after, texts)))
    if kind == "signal":
        signal = object_of(data.get("signal"))
        yield Fact(texts("why.fact_signal"), text_of(signal.get("name"), "?"))
        yield Fact(texts("why.fact_reported"), day_clock(ms_of(signal.get("reported")), now_ms, texts))
    if kind == "flood":
        condition = object_of(data.get("condition"))
        streams, within = whole_of(condition.get("streams")), number_of(condition.get("within_seconds"))
        if streams is not None and within is not None:
            span = duration(within, texts)
            yield Fact(texts("why.fact_asked"), texts("why.flood_after", count=streams, span=span))
    if kind in ("match", "score", "other"):
        times = object_of(data.get("times"))
        first, last = ms_of(times.get("captured_first")), ms_of(times.get("captured_last"))
        if first is not None and last is not None:
            seen = day_clock(first, now_ms, texts)
            yield Fact(
                texts("why.fact_seen"), seen if first == last else texts("why.seen_span", first=seen, last=clock(last))
            )
        if rendition := text_of(object_of(data.get("segment")).get("rendition")):
            yield Fact(texts("why.fact_rendition"), texts("why.other_rendition", name=rendition))
    yield from _scores(data, object_of(versions.get("models")), texts)


def persistence_text(asked: Mapping[str, Any], texts: Texts) -> str:
    """Returns what a rule asks before it calls a person; empty: an older version's event says nothing."""
    hits, frames = whole_of(asked.get("hits")), whole_of(asked.get("video_frames"))
    of_samples, within = whole_of(asked.get("of_samples")), number_of(asked.get("within_seconds"))
    count = hits if frames is None else frames
    if count is None:
        return ""
    if count == 1:
        return texts("why.asked_once")
    if of_samples is not None:
        return texts("why.asked_of", count=count, samples=of_samples)
    span = texts("why.unknown") if within is None else duration(within, texts)
    return texts("why.asked_within" if frames is None else "why.asked_frames", count=count, span=span)


def _scores(data: Mapping[str, Any], models: Mapping[str, Any], texts: Texts) -> Iterator[Fact]:
    """Each score with what the rule compares it with; then what else the rule compares."""
    thresholds = objects_of(object_of(data.get("condition")).get("thresholds"))
    scores = numbers_of(data.get("scores"))
    for name, value in sorted(scores.items(), key=lambda one: (-one[1], one[0]))[:MOST_SCORES]:
        limits = [_limit(one) for one in thresholds if one.get("of") == "score" and one.get("name") == name]
        version = text_of(models.get(name.partition("/")[0]))
        said = [f"{value:.2f}", *(texts("why.limit", limit=limit) for limit in limits)]
        if version:
            said.append(texts("why.model", version=version))
        yield Fact(name, ", ".join(said))
    for one in thresholds:
        of, name = text_of(one.get("of"), "?"), text_of(one.get("name"))
        if of != "score":
            given = numbers_of(data.get("signals")).get(name) if of == "signal" else None
            limit = texts("why.limit", limit=_limit(one))
            yield Fact(f"{of} {name}".strip(), limit if given is None else f"{given:g}, {limit}")


def _limit(threshold: Mapping[str, Any]) -> str:
    return f"{text_of(threshold.get('operator'), '?')} {figure(threshold.get('value'))}"


def figure(value: object) -> str:
    number = number_of(value)
    return "?" if number is None else f"{number:g}"
