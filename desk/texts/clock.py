"""Times of the day and dates, in UTC: a record in court has one clock, and its people sit in several zones."""

from datetime import UTC, datetime
from typing import Final

from desk.texts.catalogue import Texts

_EARLIEST, _LATEST = 0, 253_402_300_799_999  # 1970 to 9999
NONE: Final = "–"


def clock(at_ms: int | None) -> str:
    """A time of the day: `14:31:15`."""
    return NONE if at_ms is None else _at(at_ms).strftime("%H:%M:%S")


def day_clock(at_ms: int | None, now_ms: int, texts: Texts) -> str:
    """A time of the day, with its date unless that is today's: `14:31:15`, `24 Nov 02:10`, `24 Nov 2025 02:10`."""
    if at_ms is None:
        return NONE
    at, now = _at(at_ms), _at(now_ms)
    return clock(at_ms) if at.date() == now.date() else f"{day(at_ms, now_ms, texts)} {at:%H:%M}"


def day(at_ms: int | None, now_ms: int, texts: Texts) -> str:
    """A date, with its year unless that is this one: `24 Nov`."""
    if at_ms is None:
        return NONE
    at = _at(at_ms)
    words = texts("clock.day", day=at.day, month=texts(f"clock.month_{at.month}"))
    return words if at.year == _at(now_ms).year else f"{words} {at.year}"


def _at(at_ms: int) -> datetime:
    return datetime.fromtimestamp(min(max(at_ms, _EARLIEST), _LATEST) / 1000, UTC)
