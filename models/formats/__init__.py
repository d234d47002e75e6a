"""Formats of hash lists: streaming parsers of foreign ones, and writers."""

from models.formats.reading import HEAD_BYTES, read, sniff
from models.formats.records import Format, Progress, Record, Removal, Skip, SkipReason
from models.formats.report import ImportCount, ImportReport
from models.formats.writing import write_csv, write_signals

__all__ = [
    "HEAD_BYTES",
    "Format",
    "ImportCount",
    "ImportReport",
    "Progress",
    "Record",
    "Removal",
    "Skip",
    "SkipReason",
    "read",
    "sniff",
    "write_csv",
    "write_signals",
]
