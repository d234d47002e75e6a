"""Series and their segments as text, for Redis."""

import json
from collections.abc import Mapping
from typing import Any, Final

from config.facts import Severity
from worker.errors import StoreError
from worker.timeline.series import (
    CELL_MS,
    TOP_LEVEL,
    CaseSeries,
    CellPlace,
    SeriesCell,
    SeriesHit,
    SeriesSample,
    SeriesSegment,
    SeriesStretch,
)

MAX_SERIES_BYTES: Final = 64_000
"""Limit for the text of a series. Cells, scores, reasons and hits are bounded so that it holds; where a hostile stream
comes near it all the same, the oldest cells are left out."""

_VERSION: Final = 1
_SPARE_CELLS: Final = 50
"""Cells that are left out at once."""


def series_text(series: CaseSeries) -> str:
    """Returns the text of a series, of at most `MAX_SERIES_BYTES`."""
    ordered = sorted(series.cells, key=lambda place: place.begin_ms)
    while True:
        text = _text(series, ordered)
        if len(text.encode()) <= MAX_SERIES_BYTES or not ordered:
            return text
        ordered = ordered[_SPARE_CELLS:]


def _text(series: CaseSeries, ordered: list[CellPlace]) -> str:
    cells = [series.cells[place] for place in ordered]
    names = sorted({name for cell in cells for name in cell.scores})
    reasons = sorted({reason for cell in cells for reason in cell.lost_ms})
    rules = sorted({hit.rule for hit in series.hits})
    lists = sorted({hit.list for hit in series.hits})
    rows: list[list[Any]] = []
    end_ms = 0
    for place, cell in zip(ordered, cells, strict=True):
        length_ms = place.end_ms - place.begin_ms
        # Older cells are at least as long, so the end of one is a multiple of the length of the next. Most follow the
        # one before without a gap: a zero.
        row: list[Any] = [(place.begin_ms - end_ms) // length_ms, place.level, cell.moderated_ms, cell.samples]
        scores = [cell.scores.get(name, -1) for name in names] if cell.scores else []
        lost = [part for reason, part_ms in sorted(cell.lost_ms.items()) for part in (reasons.index(reason), part_ms)]
        rows.append([*row, scores, lost] if lost else [*row, scores] if scores else row)
        end_ms = place.end_ms
    record = {
        "v": _VERSION,
        "newest": series.newest_ms,
        "names": names,
        "reasons": reasons,
        "rules": rules,
        "lists": lists,
        "cells": rows,
        "hits": [
            [hit.capture_ms, rules.index(hit.rule), hit.severity.rank, lists.index(hit.list), hit.distance]
            for hit in series.hits
        ],
        "known": dict(series.known),
    }
    return json.dumps(record, separators=(",", ":"))


def read_series(text: str) -> CaseSeries:
    """Reads the text of a series.

    Raises:
        StoreError: it is damaged, or of a later version.
    """
    try:
        record = json.loads(text)
        if record["v"] != _VERSION:
            raise ValueError(record["v"])
        names, reasons = [[str(one) for one in record[part]] for part in ("names", "reasons")]
        rules, lists = [[str(one) for one in record[part]] for part in ("rules", "lists")]
        return CaseSeries(
            newest_ms=int(record["newest"]),
            cells=_cells(record["cells"], names, reasons),
            hits=tuple(
                SeriesHit(int(capture_ms), rules[rule], tuple(Severity)[rank], lists[list_], int(distance))
                for capture_ms, rule, rank, list_, distance in record["hits"]
            ),
            known={str(key): int(begin_ms) for key, begin_ms in record["known"].items()},
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise StoreError(f"series of a case: {text[:100]!r}: expected what livewarden writes") from error


def _cells(rows: list[list[Any]], names: list[str], reasons: list[str]) -> dict[CellPlace, SeriesCell]:
    cells: dict[CellPlace, SeriesCell] = {}
    end_ms = 0
    for after, level, moderated_ms, samples, *more in rows:
        length_ms = CELL_MS << min(int(level), TOP_LEVEL)
        scores, lost = (*more, [], [])[:2]
        place = CellPlace(int(level), end_ms // length_ms + int(after))
        cells[place] = SeriesCell(
            moderated_ms=int(moderated_ms),
            samples=int(samples),
            scores={name: int(score) for name, score in zip(names, scores, strict=False) if score >= 0},
            lost_ms={reasons[index]: int(part_ms) for index, part_ms in zip(lost[::2], lost[1::2], strict=True)},
        )
        end_ms = place.end_ms
    return cells


def segment_text(segment: SeriesSegment) -> str:
    """Returns the text of a segment: the same for the same segment."""
    begin_ms = segment.begin_ms
    record = [
        segment.key,
        begin_ms,
        [[start - begin_ms, end - begin_ms, lost] for start, end, lost in segment.stretches],
        [
            [capture_ms - begin_ms, {name: round(score, 3) for name, score in sorted(scores.items())}]
            for capture_ms, scores in segment.samples
        ],
        [[hit.capture_ms - begin_ms, hit.rule, hit.severity.rank, hit.list, hit.distance] for hit in segment.hits],
    ]
    return json.dumps(record, separators=(",", ":"))


def segment_key(text: str) -> str:
    """Returns the key of a segment by its text, which is not parsed; any string if it is damaged."""
    return text.partition('"')[2].partition('"')[0]


def read_segment(text: str) -> SeriesSegment | None:
    """Reads the text of a segment; None: it is damaged."""
    try:
        key, begin_ms, stretches, samples, hits = json.loads(text)
        return SeriesSegment(
            key=str(key),
            begin_ms=int(begin_ms),
            stretches=tuple(
                SeriesStretch(begin_ms + int(start), begin_ms + int(end), str(lost)) for start, end, lost in stretches
            ),
            samples=tuple(SeriesSample(begin_ms + int(at), _scores(scores)) for at, scores in samples),
            hits=tuple(
                SeriesHit(begin_ms + int(at), str(rule), tuple(Severity)[rank], str(list_), int(distance))
                for at, rule, rank, list_, distance in hits
            ),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None


def _scores(found: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(score) for name, score in found.items()}
