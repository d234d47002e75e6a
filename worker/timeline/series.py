"""The series of a case: coverage with reasons, samples, scores and hits over time, finer the newer.

The verdict log is gone after a day, and a case may wait longer. Segments of a stream end in any order, and are merged
again where a worker died, so a series is merged by operations that know no order: sums, maxima, the first and the last
few. Time is cut into cells of 2 s, aligned by the clock; older cells are joined in pairs, again and
again with age. Which cells are joined follows from the newest time alone, so the same segments give the same series,
whatever their order.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from config.facts import Severity

CELL_MS: Final = 2_000
"""Length of the finest cell: the longest gap that most profiles leave between samples."""
FINE_MS: Final = 360_000
"""Cells are the finest up to (<) this age; twice as long from it on, again from twice this age on, and so on."""
KEPT_MS: Final = 48 * 3_600_000
"""Older time than this is dropped; hits stay."""
TOP_LEVEL: Final = 10
"""Above the level of the oldest time that is kept."""
LONGEST_MS: Final = 600_000
"""A segment counts for no longer than this: a duration is the broadcaster's claim."""
MAX_SCORES: Final = 3
"""Score lines, the first by name: more would not be told apart."""
MAX_REASONS: Final = 12
"""Reasons that are told apart, the first by name; a later one reads `OTHER`. Livewarden has about as many."""
OTHER: Final = "failed: other"
MAX_HITS_AT_AN_END: Final = 40
"""The first and the last so many hits are kept."""
MAX_KNOWN: Final = 300
"""Segments that are remembered, the newest, so that none counts twice: ten minutes of segments of 2 s."""


class SeriesStretch(NamedTuple):
    """A stretch [begin_ms, end_ms) of a segment by capture time."""

    begin_ms: int
    end_ms: int
    lost: str
    """Field of the ledger that it counts in, such as "failed: undecodable"; empty: it was moderated."""


class SeriesSample(NamedTuple):
    """A sampled picture."""

    capture_ms: int
    scores: Mapping[str, float]
    """By name, 0 to 1, of scores that live rules compare."""


class SeriesHit(NamedTuple):
    """A picture on which a live rule holds."""

    capture_ms: int
    rule: str
    severity: Severity
    list: str
    """The list of the nearest match; empty: it matches none."""
    distance: int
    """That of the nearest match; -1: there is none."""


@dataclass(frozen=True, kw_only=True)
class SeriesSegment:
    """The part of a segment in the series of its stream's case."""

    key: str
    """Names the segment among those of its stream."""
    begin_ms: int
    stretches: tuple[SeriesStretch, ...]
    samples: tuple[SeriesSample, ...] = ()
    hits: tuple[SeriesHit, ...] = ()

    @property
    def end_ms(self) -> int:
        """The end of its last stretch."""
        return max((stretch.end_ms for stretch in self.stretches), default=self.begin_ms)


class CellPlace(NamedTuple):
    """The place of a cell: [ordinal, ordinal + 1) * `CELL_MS` * 2 ** level."""

    level: int
    ordinal: int

    @property
    def begin_ms(self) -> int:
        return self.ordinal * (CELL_MS << self.level)

    @property
    def end_ms(self) -> int:
        return (self.ordinal + 1) * (CELL_MS << self.level)

    def at(self, newest_ms: int) -> "CellPlace":
        """The place of the cell that holds it once the series goes on to `newest_ms`."""
        level, ordinal = self
        while level < TOP_LEVEL:
            coarser = CellPlace(level + 1, ordinal >> 1)
            if coarser.end_ms > newest_ms - (FINE_MS << level):
                break
            level, ordinal = coarser
        return CellPlace(level, ordinal)


@dataclass(frozen=True, kw_only=True)
class SeriesCell:
    """The time of one cell."""

    moderated_ms: int = 0
    lost_ms: Mapping[str, int] = field(default_factory=dict)
    samples: int = 0
    scores: Mapping[str, int] = field(default_factory=dict)
    """The highest of each, in thousandths."""

    def joined(self, other: "SeriesCell") -> "SeriesCell":
        """Both together; commutative and associative."""
        lost = Counter(self.lost_ms)
        lost.update(other.lost_ms)
        names = {*self.scores, *other.scores}
        return SeriesCell(
            moderated_ms=self.moderated_ms + other.moderated_ms,
            lost_ms=dict(lost),
            samples=self.samples + other.samples,
            scores={name: max(self.scores.get(name, 0), other.scores.get(name, 0)) for name in names},
        )


@dataclass(frozen=True, kw_only=True)
class CaseSeries:
    """The series of a case."""

    newest_ms: int = 0
    """The end of the latest segment."""
    cells: Mapping[CellPlace, SeriesCell] = field(default_factory=dict)
    """They do not overlap. Time without one is in no segment that has settled."""
    hits: tuple[SeriesHit, ...] = ()
    """Ascending."""
    known: Mapping[str, int] = field(default_factory=dict)
    """The newest segments, by their keys, and their begins."""

    def merged(self, segments: Iterable[SeriesSegment]) -> "CaseSeries":
        """The series with these segments; those that it has already change nothing."""
        new = {segment.key: segment for segment in segments if segment.key not in self.known}
        if not new:
            return self
        newest_ms = max(self.newest_ms, *(segment.end_ms for segment in new.values()))
        cells: dict[CellPlace, SeriesCell] = {}
        added = [part for segment in new.values() for part in _cells_of(segment)]
        for place, cell in (*self.cells.items(), *added):
            at = place.at(newest_ms)
            if at.end_ms > newest_ms - KEPT_MS:
                cells[at] = cell if at not in cells else cells[at].joined(cell)
        hits = sorted({*self.hits, *(hit for segment in new.values() for hit in segment.hits)})
        if len(hits) > 2 * MAX_HITS_AT_AN_END:
            hits = hits[:MAX_HITS_AT_AN_END] + hits[-MAX_HITS_AT_AN_END:]
        known = {**self.known, **{key: segment.begin_ms for key, segment in new.items()}}
        kept = sorted(known, key=lambda key: (known[key], key))[-MAX_KNOWN:]
        return CaseSeries(
            newest_ms=newest_ms,
            cells=_bounded(cells),
            hits=tuple(hits),
            known={key: known[key] for key in kept},
        )


def _cells_of(segment: SeriesSegment) -> Iterable[tuple[CellPlace, SeriesCell]]:
    """The finest cells of a segment."""
    limit_ms = segment.begin_ms + LONGEST_MS
    for begin_ms, end_ms, lost in segment.stretches:
        at_ms, until_ms = max(begin_ms, segment.begin_ms), min(end_ms, limit_ms)
        while at_ms < until_ms:
            place = CellPlace(0, at_ms // CELL_MS)
            part_ms = min(place.end_ms, until_ms) - at_ms
            yield place, SeriesCell(lost_ms={lost: part_ms}) if lost else SeriesCell(moderated_ms=part_ms)
            at_ms += part_ms
    for capture_ms, scores in segment.samples:
        thousandths = {name: round(min(max(score, 0.0), 1.0) * 1000) for name, score in scores.items()}
        if segment.begin_ms <= capture_ms < limit_ms:
            yield CellPlace(0, capture_ms // CELL_MS), SeriesCell(samples=1, scores=thousandths)


def _bounded(cells: Mapping[CellPlace, SeriesCell]) -> dict[CellPlace, SeriesCell]:
    """Cells with no more scores and reasons than are kept. The first by name are: what a merge drops, each later one
    would drop too."""
    names = sorted({name for cell in cells.values() for name in cell.scores})
    reasons = sorted({reason for cell in cells.values() for reason in cell.lost_ms} - {OTHER})
    if len(names) <= MAX_SCORES and len(reasons) <= MAX_REASONS:
        return dict(cells)
    scored, told = frozenset(names[:MAX_SCORES]), frozenset(reasons[:MAX_REASONS])
    return {place: _restricted(cell, scored, told) for place, cell in cells.items()}


def _restricted(cell: SeriesCell, scored: frozenset[str], told: frozenset[str]) -> SeriesCell:
    lost: Counter[str] = Counter()
    for reason, part_ms in cell.lost_ms.items():
        lost[reason if reason in told else OTHER] += part_ms
    return replace(cell, lost_ms=dict(lost), scores={name: cell.scores[name] for name in cell.scores if name in scored})
