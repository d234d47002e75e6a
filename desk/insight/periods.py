"""Periods that a person chooses from: by name, or by two days."""

from datetime import date, timedelta
from typing import Final

from worker.insight.period import Period

NAMED: Final = ("week", "yesterday", "month_back", "last_month")
"""The first is shown where nothing is chosen."""


def named_period(name: str, today: date) -> Period | None:
    """The period of a name; None: there is none of it. The last 7 and 28 days have today in them, which is not over."""
    day = timedelta(days=1)
    first_of_month = today.replace(day=1)
    match name:
        case "week":
            return Period(first=today - 6 * day, last=today)
        case "yesterday":
            return Period(first=today - day, last=today - day)
        case "month_back":
            return Period(first=today - 27 * day, last=today)
        case "last_month":
            last = first_of_month - day
            return Period(first=last.replace(day=1), last=last)
        case _:
            return None
