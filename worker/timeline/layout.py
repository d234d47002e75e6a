"""Places on a timeline: what of a series is drawn where, in per cent of its span. Pure, and without markup."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Final

from worker.timeline.series import CELL_MS, CaseSeries, CellPlace, SeriesCell

LEAST_SPAN_MS: Final = 60_000
"""A case of some seconds is not drawn as a wall of samples."""
ROOM_AFTER_NOW: Final = 0.08
"""Part of the span after now on a live stream: its label does not hang over the edge, and the future is seen empty."""
DROPPED_PERCENT: Final = 3.0
"""A label nearer (<) than this to the one before is dropped: they would cover each other on every screen."""
WIDE_PERCENT: Final = 8.0
"""One nearer (<) than this is shown on wide screens only."""
JOINED_MS: Final = 500
"""Bands of one kind that are no further (<=) apart are one: a segment's duration is rounded."""
UNSETTLED_MS: Final = 120_000
"""Time that no segment on record has is pending up to (<) this age: a segment under way may have it. One that waits is
sent again within `worker.ingest.pending.segments.LONGEST_DEADLINE_MS`, which is as long."""
LEAST_SEEN_SHARE: Final = 1 / 300
"""A seen band that is a smaller part of the span, between two gaps for one reason, is drawn as one gap with them: some
3 px, which nobody can tell apart. The time that the gap states is still that which was lost."""
CHARACTER_PERCENT: Final = 1.2
"""Width of a character of 11 px where wide labels are shown: on 500 px and more."""
NARROW_CHARACTER_PERCENT: Final = 2.4
"""The same on 270 px."""
MAX_LABEL_CHARACTERS: Final = 24
"""A longer label is cut."""
TICKS: Final = 10
"""Labels of the axis, at most."""
_STEPS_SECONDS: Final = (
    10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400,
)  # fmt: skip


class BandKind(StrEnum):
    """Kinds of time, as coverage shows them."""

    SEEN = "seen"
    MISSED = "missed"
    """Failed or missed."""
    SKIPPED = "skipped"
    """Left out on purpose."""
    PENDING = "pending"
    """Not settled yet: later than the newest segment on record, or in none so far."""

    UNKNOWN = "unknown"
    """In no segment on record, and too old to be pending: the case had no undecided finding, for which segments are
    noted, nobody polled, or the note was lost. The ledger alone knows what became of it."""


SKIPPED_REASONS: Final = frozenset({"budget", "backlog", "stream_backlog", "overload"})
"""Reasons for which time is left out on purpose, in whichever field of the ledger they count."""
NO_RECORD: Final = "no record"


@dataclass(frozen=True, kw_only=True)
class Band:
    """A stretch [begin_ms, end_ms) of one kind."""

    begin_ms: int
    end_ms: int
    kind: BandKind
    reason: str = ""
    """Empty: it was seen, or is pending. `NO_RECORD`: it is unknown."""
    lost_ms: int = 0
    """Time that was lost of it: an old cell may be seen in part."""


@dataclass(frozen=True, kw_only=True)
class TimeSpan:
    """The span [begin_ms, end_ms] of a timeline."""

    begin_ms: int
    end_ms: int

    def percent(self, at_ms: float) -> float:
        """Place of a time, 0 to 100; one outside of the span is at its nearer end."""
        share = (at_ms - self.begin_ms) / (self.end_ms - self.begin_ms)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def holds(self, at_ms: int) -> bool:
        """Returns whether a time is within the span, both ends included."""
        return self.begin_ms <= at_ms <= self.end_ms


def span_of(series: CaseSeries, marks_ms: Iterable[int], *, now_ms: int | None) -> TimeSpan:
    """The span of a series with marks beside it; `now_ms`: the stream is live, and the span goes on to now.

    Marks earlier than the series, or later than its end by more than its length, do not stretch it: a decision of the
    next day would leave nothing to see.
    """
    cells = sorted(place.begin_ms for place in series.cells)
    hits = [hit.capture_ms for hit in series.hits]
    marks = list(marks_ms)
    known = cells[:1] or hits[:1] or marks[:1] or [0 if now_ms is None else now_ms]
    begin_ms = known[0]
    end_ms = max([begin_ms, series.newest_ms, *hits])
    longest_ms = max(end_ms - begin_ms, LEAST_SPAN_MS)
    later = [at for at in (*marks, *([] if now_ms is None else [now_ms])) if end_ms < at <= end_ms + longest_ms]
    end_ms = max([end_ms, *later])
    if now_ms is not None:
        end_ms += round(ROOM_AFTER_NOW * max(end_ms - begin_ms, LEAST_SPAN_MS))
    return TimeSpan(begin_ms=begin_ms, end_ms=max(end_ms, begin_ms + LEAST_SPAN_MS))


def bands(series: CaseSeries, span: TimeSpan, *, now_ms: int | None, read_ms: int | None = None) -> list[Band]:
    """The coverage of the span without overlap, in order; joined where it is of one kind and reason.

    A cell knows how much of it was lost, not where: the loss is drawn beside that of the cell before, or at its end.

    Args:
        now_ms: as of `span_of`.
        read_ms: Redis's clock at which the series was read; None: long after its end, all of it is settled.
    """
    settled_ms = span.end_ms if read_ms is None else read_ms - UNSETTLED_MS
    found: list[Band] = []
    at_ms = span.begin_ms
    for number, place in enumerate(sorted(series.cells, key=lambda one: one.begin_ms)):
        begin_ms = _begin_of_first(place, series.cells[place]) if number == 0 else place.begin_ms
        if number and begin_ms - at_ms > 0:
            found += _unrecorded(at_ms, begin_ms, settled_ms)
        at_ms = max(begin_ms + 1, min(place.end_ms, series.newest_ms))
        found += _parts(begin_ms, at_ms, series.cells[place], found[-1] if found else None)
    if now_ms is not None and at_ms < min(now_ms, span.end_ms):
        found.append(Band(begin_ms=at_ms, end_ms=min(now_ms, span.end_ms), kind=BandKind.PENDING))
    return _joined(found, LEAST_SEEN_SHARE * (span.end_ms - span.begin_ms))


def _begin_of_first(place: CellPlace, cell: SeriesCell) -> int:
    """The time at which a series begins: an old cell is long, and what it lacks of the first was before the series."""
    return max(place.begin_ms, place.end_ms - cell.moderated_ms - sum(cell.lost_ms.values()))


def _lost(begin_ms: int, end_ms: int, field: str) -> Band:
    """A lost stretch, by the field of the ledger in which it counts."""
    counted, _, why = field.partition(": ")
    skipped = counted == "skipped" or why in SKIPPED_REASONS
    kind = BandKind.UNKNOWN if field == NO_RECORD else BandKind.SKIPPED if skipped else BandKind.MISSED
    return Band(
        begin_ms=begin_ms,
        end_ms=end_ms,
        kind=kind,
        reason=why or field,
        lost_ms=end_ms - begin_ms,
    )


def _unrecorded(begin_ms: int, end_ms: int, settled_ms: int) -> Iterator[Band]:
    """The bands of time that no segment on record has: what is older (<) than `settled_ms` is unknown."""
    if begin_ms < settled_ms:
        yield _lost(begin_ms, min(end_ms, settled_ms), NO_RECORD)
    if end_ms > settled_ms:
        yield Band(begin_ms=max(begin_ms, settled_ms), end_ms=end_ms, kind=BandKind.PENDING)


def _parts(begin_ms: int, end_ms: int, cell: SeriesCell, before: Band | None) -> list[Band]:
    """The bands of one cell."""
    length_ms = end_ms - begin_ms
    lost_ms = dict(cell.lost_ms)
    # The first and the last cell may be in segments in part. A longer hole is time that no segment has.
    hole_ms = length_ms - cell.moderated_ms - sum(lost_ms.values())
    if hole_ms > CELL_MS or (hole_ms > 0 and not cell.moderated_ms and not lost_ms):
        lost_ms[NO_RECORD] = hole_ms
    whole_ms = cell.moderated_ms + sum(lost_ms.values())
    if whole_ms <= 0:
        return []
    shares = sorted(lost_ms.items())
    if before is not None and before.reason:
        # What goes on from the cell before comes first.
        shares.sort(key=lambda one: _lost(0, 1, one[0]).reason != before.reason)
    goes_on = bool(shares) and before is not None and _lost(0, 1, shares[0][0]).reason == before.reason
    seen = [("", cell.moderated_ms)] if cell.moderated_ms else []
    ordered = [*shares[:1], *seen, *shares[1:]] if goes_on else [*seen, *shares]
    found: list[Band] = []
    counted_ms, at_ms = 0, begin_ms
    for field, part_ms in ordered:
        counted_ms += part_ms
        until_ms = begin_ms + round(length_ms * counted_ms / whole_ms)
        if until_ms > at_ms:
            seen_band = Band(begin_ms=at_ms, end_ms=until_ms, kind=BandKind.SEEN)
            found.append(_lost(at_ms, until_ms, field) if field else seen_band)
        at_ms = until_ms
    return found


def _joined(found: Sequence[Band], least_seen_ms: float) -> list[Band]:
    joined: list[Band] = []
    for band in found:
        if len(joined) > 1 and band.reason and joined[-1].kind is BandKind.SEEN:
            gap, seen = joined[-2:]
            if _alike(gap, band) and seen.end_ms - seen.begin_ms < least_seen_ms:
                joined[-2:] = [_together(gap, seen)]
        if joined and _alike(joined[-1], band) and band.begin_ms - joined[-1].end_ms <= JOINED_MS:
            joined[-1] = _together(joined[-1], band)
        else:
            joined.append(band)
    return joined


def _alike(one: Band, other: Band) -> bool:
    return (one.kind, one.reason) == (other.kind, other.reason)


def _together(first: Band, second: Band) -> Band:
    return replace(first, end_ms=second.end_ms, lost_ms=first.lost_ms + second.lost_ms)


@dataclass(frozen=True, kw_only=True)
class PlacedLabel:
    """A label on the timeline."""

    x_percent: float
    text: str
    wide: bool = False
    """Shown on wide screens only."""


def placed(labels: Iterable[tuple[float, str]]) -> list[PlacedLabel]:
    """The labels that have room, by their places. Of two that are too near, for their lengths too, the first stays."""
    kept: list[PlacedLabel] = []
    last_shown: PlacedLabel | None = None
    for x_percent, text in sorted(labels, key=lambda one: one[0]):
        if kept and _are_near(kept[-1], x_percent, text, DROPPED_PERCENT, CHARACTER_PERCENT):
            continue
        wide = last_shown is not None and _are_near(last_shown, x_percent, text, WIDE_PERCENT, NARROW_CHARACTER_PERCENT)
        label = PlacedLabel(x_percent=x_percent, text=text, wide=wide)
        kept.append(label)
        last_shown = last_shown if wide else label
    return kept


def edge_of(x_percent: float, text: str) -> int:
    """Edge of a narrow drawing over which a centred label would hang: -1, 1; 0: none. It begins, or ends, at its place
    there."""
    half = max(DROPPED_PERCENT, NARROW_CHARACTER_PERCENT * min(len(text), MAX_LABEL_CHARACTERS) / 2)
    return -1 if x_percent < half else 1 if x_percent > 100 - half else 0


def _are_near(before: PlacedLabel, x_percent: float, text: str, least_percent: float, a_character: float) -> bool:
    widths = [a_character * min(len(one), MAX_LABEL_CHARACTERS) for one in (before.text, text)]
    # In halves: a label that begins at its place has all of it on the right.
    right = widths[0] * (1 - edge_of(before.x_percent, before.text)) / 2
    left = widths[1] * (1 + edge_of(x_percent, text)) / 2
    return x_percent - before.x_percent < max(least_percent, right + left)


def axis_ms(span: TimeSpan) -> list[int]:
    """Round times on the axis, at most `TICKS` of them."""
    length_ms = span.end_ms - span.begin_ms
    step_ms = next((1000 * one for one in _STEPS_SECONDS if length_ms <= 1000 * one * TICKS), length_ms // TICKS)
    first = -(-span.begin_ms // step_ms) * step_ms
    return list(range(first, span.end_ms + 1, step_ms))


def score_lines(series: CaseSeries) -> dict[str, list[list[tuple[int, int]]]]:
    """By score: its runs of (time in ms, thousandths). A run breaks where no cell follows, and at one of which more was
    lost than seen."""
    ordered = sorted(series.cells, key=lambda one: one.begin_ms)
    names = sorted({name for cell in series.cells.values() for name in cell.scores})
    return {name: _runs(series, ordered, name) for name in names}


def _runs(series: CaseSeries, ordered: Sequence[CellPlace], name: str) -> list[list[tuple[int, int]]]:
    runs: list[list[tuple[int, int]]] = [[]]
    for before, place in pairwise([None, *ordered]):
        assert place is not None
        cell = series.cells[place]
        dark = sum(cell.lost_ms.values()) > cell.moderated_ms
        if before is not None and (place.begin_ms > before.end_ms or dark):
            runs.append([])
        if name in cell.scores and not dark:
            runs[-1].append(((place.begin_ms + place.end_ms) // 2, cell.scores[name]))
    return [run for run in runs if run]
