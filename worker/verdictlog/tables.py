"""The two tables that the store keeps: verdicts, and what became of them. Both are kept and merged alike."""

from dataclasses import dataclass

import pyarrow as pa

from worker.verdictlog import outcome_rows, rows
from worker.verdictlog.files import ROOT


@dataclass(frozen=True, kw_only=True)
class LogTable:
    """A kind of files of the log."""

    root: str
    """The folder that they are in."""
    schema: pa.Schema
    time: str
    """The column whose first and last value a file's name tells."""
    required: tuple[str, ...]
    """Columns, and by a dot what is in them, that every version has written in each row."""


VERDICTS = LogTable(
    root=ROOT,
    schema=rows.SCHEMA,
    time="capture_ms",
    required=(
        *("stream_id", "generation", "segment_key", "capture_ms", "pts_seconds"),
        *("purpose", "audience", "risk_prior", "metadata"),
        *("matches", "matches.list", "matches.entry", "matches.distance", "matches.tags", "scores", "scores.value"),
    ),
)
OUTCOMES = LogTable(
    root="outcomes",
    schema=outcome_rows.SCHEMA,
    time="at_ms",
    required=(
        *("id", "kind", "at_ms", "incident_id", "stream_id", "generation", "rule", "severity", "purpose"),
        *("raised_ms", "captured_first_ms", "captured_last_ms"),
    ),
)

TABLES = (VERDICTS, OUTCOMES)


def table_in(folder: str) -> LogTable:
    """The table that has its files in a folder."""
    root = folder.partition("/")[0]
    return next(table for table in TABLES if table.root == root)
