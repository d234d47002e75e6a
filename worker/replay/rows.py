"""The columns of the log that a replay reads, and segments made of its rows."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from config.facts import Coverage, ListedHash, SampleFacts, SegmentFacts
from worker.bank.allowance import mark_allowed
from worker.ingest.pending.segments import series_of
from worker.replay.stream_replay import SettledSegment
from worker.verdictlog.rows import (
    SAMPLE_COLUMNS,
    SCHEMA,
    STREAM_COLUMNS,
    Row,
    sample_facts_of,
    shows_picture,
    stream_facts_of,
)

PART_SCHEMA = pa.schema(
    [
        SCHEMA.field(name)
        for name in (
            *STREAM_COLUMNS,
            *SAMPLE_COLUMNS,
            *("generation", "epoch", "segment_key", "segment_ms", "moderated_ms", "unhashable_ms", "failed_ms"),
            *("settled_ms", "settled_after", "silent"),
        )
    ]
)
"""Columns that a replay reads."""


def settled_segment(rows: Sequence[Row]) -> SettledSegment:
    """A segment from its rows, at least one, by presentation time."""
    first = rows[0]
    silent = frozenset(ListedHash(**listed) for listed in first["silent"] or ())
    facts = SegmentFacts(
        key=first["segment_key"],
        series=series_of(first["generation"], first["epoch"]),
        capture_ms=begin_ms(first),
        stream=stream_facts_of(first),
        samples=tuple(_sample(row) for row in rows if shows_picture(row)),
        coverage=coverage_of(first),
        silent=silent,
    )
    return SettledSegment(
        facts=facts, generation=first["generation"], epoch=first["epoch"], settled_ms=first["settled_ms"], silent=silent
    )


def _sample(row: Row) -> SampleFacts:
    """A picture as rules saw it; matches that a lead had allowed are known by their tags."""
    facts = sample_facts_of(row)
    return replace(facts, matches=mark_allowed(facts.matches, now_ms=row["settled_ms"])) if facts.matches else facts


def coverage_of(row: Row) -> Coverage:
    """The coverage of a row's segment."""
    return Coverage.of_ms(
        segment_ms=row["segment_ms"] or 0,
        moderated_ms=row["moderated_ms"] or 0,
        unhashable_ms=row["unhashable_ms"] or 0,
        failed_ms=sum(ms for _, ms in row["failed_ms"] or ()),
    )


def begin_ms(row: Row) -> int:
    """Capture time of the beginning of the row's segment."""
    return int(row["capture_ms"]) - round(float(row["pts_seconds"]) * 1000)


def with_all_columns(table: pa.Table) -> pa.Table:
    """The table with columns that rows of an older version lack: the approximate time of settlement, and defaults."""
    ended = pc.add(table["capture_ms"], pc.fill_null(table["segment_ms"], 0).cast(pa.int64()))
    filled = {
        "settled_ms": pc.coalesce(table["settled_ms"], ended),
        "settled_after": pc.fill_null(table["settled_after"], 0),
        "epoch": pc.fill_null(table["epoch"], 0),
    }
    for name, column in filled.items():
        table = table.set_column(table.schema.get_field_index(name), PART_SCHEMA.field(name), column)
    return table
