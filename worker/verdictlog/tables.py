"""The two tables of the verdict log: verdicts and their outcomes. Both are purged and merged alike."""

from dataclasses import dataclass

import pyarrow as pa

from worker.verdictlog import outcome_rows, rows
from worker.verdictlog.files import ROOT


@dataclass(frozen=True, kw_only=True)
class LogTable:
    """A table of the log."""

    root: str
    """The folder of its files."""
    schema: pa.Schema
    time: str
    """The column whose first and last value are in a file's name."""
    required: tuple[str, ...]
    """Columns, and after a dot parts of them, that every version writes in each row."""


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
    """The table whose files are in that folder."""
    root = folder.partition("/")[0]
    return next(table for table in TABLES if table.root == root)
