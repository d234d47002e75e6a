"""The stream of a case in words: what the platform says of it, its reports, earlier cases, its risk part by part."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from desk.cases.event_values import ms_of, number_of, object_of, objects_of, shown, text_of
from desk.cases.reason_words import outcome_word
from desk.cases.stream_view import StreamView
from desk.texts.catalogue import Texts
from desk.texts.clock import day, day_clock
from desk.texts.durations import duration

MOST_METADATA: Final = 12
"""Fields of the platform's metadata that a page shows; a registration has 16 kB of them."""
MOST_SIGNALS: Final = 12
TITLES: Final = ("title", "name")
"""Fields of metadata that are shown as the title, the first that is there."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """A field of the platform's metadata, as it was sent."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class EarlierWords:
    """An earlier decision in words."""

    case_id: str
    when: str
    outcome: str
    rule: str


@dataclass(frozen=True, kw_only=True)
class RiskPartWords:
    """A part of the risk: what it follows from, how it fades, and what it adds."""

    name: str
    fades: str
    adds: str
    x: float
    width: float
    """Its place on the bar in per cent: each part takes its share of what the parts before leave."""


@dataclass(frozen=True, kw_only=True)
class StreamWords:
    """The stream in words. Texts of the platform are not escaped: templates do that."""

    stream_id: str
    title: str
    """Empty: the metadata has none."""
    on_air: str
    audience: str
    signals: tuple[str, ...]
    metadata: tuple[Said, ...]
    metadata_more: int
    earlier: tuple[EarlierWords, ...]
    notices: tuple[str, ...]
    risk: str
    """Empty: it is not known."""
    parts: tuple[RiskPartWords, ...]
    coverage: str
    """Seconds moderated, missed and so on; empty: not known."""


def stream_words(view: StreamView, now_ms: int, texts: Texts) -> StreamWords:
    """Puts a stream into words."""
    record = object_of(view.record)
    said = list(_metadata(view.metadata))
    titled = next((one for name in TITLES for one in said if one.name.casefold() == name), None)
    others = [one for one in said if one is not titled]
    risk = object_of(record.get("risk"))
    value = number_of(risk.get("value"))
    return StreamWords(
        stream_id=view.stream_id,
        title="" if titled is None else titled.value,
        on_air=_on_air(view, record, texts),
        audience=text_of(record.get("audience")),
        signals=tuple(_signals(record, now_ms, texts)),
        metadata=tuple(others[:MOST_METADATA]),
        metadata_more=max(0, len(others) - MOST_METADATA),
        earlier=tuple(
            EarlierWords(
                case_id=one.case_id,
                when=day(one.decided_ms, now_ms, texts),
                outcome=outcome_word(one.outcome, texts),
                rule=one.rule,
            )
            for one in view.earlier
        ),
        notices=tuple(_notices(view, record, texts)),
        risk="" if value is None else f"{value:.2f}",
        parts=tuple(_parts(objects_of(risk.get("parts")), texts)),
        coverage=coverage_text(record, texts),
    )


def coverage_text(record: Mapping[str, Any], texts: Texts) -> str:
    """The ledger of a stream in a sentence: "On air 231 s: 207 moderated, 12 missed, 6 skipped, 6 pending."."""
    elapsed = number_of(record.get("elapsed_seconds"))
    if elapsed is None:
        return ""
    parts = []
    for name in ("moderated", "failed", "missed", "skipped", "pending"):
        seconds = round(number_of(record.get(f"{name}_seconds")) or 0)
        if seconds or name == "moderated":
            parts.append(texts(f"stream.coverage_{name}", seconds=seconds))
    return texts("stream.coverage", elapsed=round(elapsed), parts=", ".join(parts))


def _metadata(metadata: Mapping[str, Any]) -> Iterator[Said]:
    for name, value in metadata.items():
        if value is None or value == "":
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield Said(name=shown(str(name)), value=shown(text))


def _on_air(view: StreamView, record: Mapping[str, Any], texts: Texts) -> str:
    state = text_of(record.get("state")) or view.state
    if not state:
        return texts("stream.state_unknown")
    word = texts(f"stream.state_{state}") if state in _STATES else state
    if view.on_air_seconds is None:
        return word
    return texts("stream.on_air", state=word, span=duration(view.on_air_seconds, texts))


_STATES: Final = frozenset(
    {"starting", "live", "reset", "stalled", "unreachable", "malformed", "ended", "removed", "unknown"}
)


def _signals(record: Mapping[str, Any], now_ms: int, texts: Texts) -> Iterator[str]:
    reported = object_of(record.get("signals_reported"))
    for name, value in list(object_of(record.get("signals")).items())[:MOST_SIGNALS]:
        number = number_of(value)
        if number is None:
            continue
        at = ms_of(reported.get(name))
        said = texts("stream.signal", name=shown(str(name)), number=f"{number:g}")
        yield said if at is None else texts("stream.signal_at", signal=said, at=day_clock(at, now_ms, texts))


def _notices(view: StreamView, record: Mapping[str, Any], texts: Texts) -> Iterator[str]:
    if not view.readable:
        yield texts("stream.unreadable")
    elif view.record is None:
        yield texts("stream.gone")
    if unwatched := ms_of(record.get("unwatched_since")):
        yield texts("stream.unwatched", at=day_clock(unwatched, unwatched, texts))
    if record.get("damaged"):
        yield texts("stream.damaged")


def _parts(parts: list[Mapping[str, Any]], texts: Texts) -> Iterator[RiskPartWords]:
    left = 1.0
    for part in sorted(parts, key=lambda one: -(number_of(one.get("part")) or 0.0)):
        adds = min(max(number_of(part.get("part")) or 0.0, 0.0), 1.0)
        width = left * adds
        half_life = number_of(part.get("half_life_seconds"))
        yield RiskPartWords(
            name=_part_name(part, texts),
            fades=texts("stream.stays")
            if half_life is None
            else texts("stream.halves", span=_half_life(half_life, texts)),
            adds=f"{adds:.2f}",
            x=round(100 * (1 - left), 2),
            width=round(100 * width, 2),
        )
        left -= width


def _half_life(seconds: float, texts: Texts) -> str:
    days = seconds / 86_400
    return texts("stream.days", days=f"{days:g}") if days >= 1 and days.is_integer() else duration(seconds, texts)


def _part_name(part: Mapping[str, Any], texts: Texts) -> str:
    source, name = text_of(part.get("source")), text_of(part.get("name"), "?")
    given = part.get("given")
    if source == "prior":
        return texts("stream.part_prior")
    if source == "decision":
        return texts("stream.part_decision", outcome=outcome_word(given, texts))
    number = number_of(given)
    shown_number = "?" if number is None else f"{number:g}"
    key = "stream.part_score" if source == "score" else "stream.part_signal"
    return texts(key, name=name, number=shown_number)
