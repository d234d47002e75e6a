"""Hash lists as others write them: streaming parsers, and what we write ourselves."""

from models.formats.reading import HEAD_BYTES, read, sniff
from models.formats.records import Format, Progress, Record, Removal, Skip, SkipReason

__all__ = ["HEAD_BYTES", "Format", "Progress", "Record", "Removal", "Skip", "SkipReason", "read", "sniff"]
