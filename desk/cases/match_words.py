"""Matches in words, and the scale on which a distance is drawn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from config.facts import ALLOW
from desk.cases.event_values import number_of, objects_of, text_of, texts_of, whole_of
from desk.texts.catalogue import Texts

FURTHEST: Final = 31
"""The largest distance of a match (docs/architecture.md)."""
NEAR: Final = 10
"""From here on a picture is no longer as good as equal, but re-encoded."""
CHANCE: Final = 20
"""Re-encoding moves a hash by some 20 bits at most: beyond, it may be chance."""
MOST_TAGS: Final = 20
VARIANTS: Final = frozenset({"mirror", "rotate", "crop"})


@dataclass(frozen=True)
class Fact:
    """A term and what is known."""

    term: str
    value: str
    code: bool = False
    """An id, set in the typeface of ids."""


@dataclass(frozen=True, kw_only=True)
class MatchScale:
    """A distance on the scale from 0 to 31; x in per cent."""

    distance: int
    x: float
    near_x: float
    chance_x: float
    label: str


@dataclass(frozen=True, kw_only=True)
class MatchRow:
    """A further match in one line."""

    list: str
    entry: str
    distance: str
    details: str


def matches_of(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The matches of an event, the nearest first. An entry of `allow`, by which another match counts less, calls for
    nobody, and is last.
    """
    return sorted(objects_of(data.get("matches")), key=lambda match: match.get("list") == ALLOW)


def meaning_key(distance: int) -> str:
    """The key of the words for what a distance means."""
    if distance < NEAR:
        return "why.means_equal"
    return "why.means_encoded" if distance <= CHANCE else "why.means_chance"


def scale_of(match: Mapping[str, Any], texts: Texts) -> MatchScale | None:
    """The scale of a match; None: its distance is none that a match can have."""
    distance = whole_of(match.get("distance"))
    if distance is None or not 0 <= distance <= FURTHEST:
        return None
    return MatchScale(
        distance=distance,
        x=_percent(distance),
        near_x=_percent(NEAR),
        chance_x=_percent(CHANCE),
        label=texts("why.scale", distance=distance, means=texts(meaning_key(distance))),
    )


def _percent(distance: int) -> float:
    return round(100 * distance / FURTHEST, 2)


def match_facts(match: Mapping[str, Any], lists: Mapping[str, Any], texts: Texts) -> Iterator[Fact]:
    """The facts of a match. `lists`: versions of lists, for an event whose match has none."""
    name = text_of(match.get("list"), "?")
    version = text_of(match.get("version")) or text_of(lists.get(name))
    yield Fact(texts("why.fact_list"), texts("why.list_version", name=name, version=version) if version else name)
    if category := text_of(match.get("category")):
        yield Fact(texts("why.fact_class"), texts("why.class_said", name=category))
    yield Fact(texts("why.fact_entry"), text_of(match.get("entry"), "?"), code=True)
    yield Fact(texts("why.fact_matched"), _variant(match, texts))
    if source := text_of(match.get("source")):
        yield Fact(texts("why.fact_source"), source)
    if video := text_of(match.get("video")):
        seconds = number_of(match.get("seconds"))
        at = video if seconds is None else texts("why.video_at", name=video, seconds=f"{seconds:g}")
        yield Fact(texts("why.fact_video"), at)
    most = whole_of(match.get("max_distance"))
    if most is not None:
        yield Fact(texts("why.fact_most"), texts("why.most_distance", most=most))
    if tags := texts_of(match.get("tags"))[:MOST_TAGS]:
        yield Fact(texts("why.fact_tags"), ", ".join(tags))


def match_rows(matches: Sequence[Mapping[str, Any]], texts: Texts) -> Iterator[MatchRow]:
    """Further matches, a line each."""
    for one in matches:
        distance = whole_of(one.get("distance"))
        details = [] if distance is None else [texts(meaning_key(distance))]
        details += [_variant(one, texts)] if "variant" in one else []
        details += [texts("why.allowed")] if one.get("allowed") is True else []
        if category := text_of(one.get("category")):
            details.append(texts("why.class_said", name=category))
        yield MatchRow(
            list=text_of(one.get("list"), "?"),
            entry=text_of(one.get("entry"), "?"),
            distance="?" if distance is None else str(distance),
            details=", ".join(details),
        )


def _variant(match: Mapping[str, Any], texts: Texts) -> str:
    variant = text_of(match.get("variant"))
    if not variant:
        return texts("why.variant_none")
    return texts(f"why.variant_{variant}") if variant in VARIANTS else variant
