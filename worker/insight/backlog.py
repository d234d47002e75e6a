"""The section of what waits at this moment: no record says what waited at an earlier time."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from config.facts import Severity
from worker.insight.sections import ReportSection, count, seconds, table, text
from worker.queue.claims import OpenIncident

ALL: Final = "all"


@dataclass(kw_only=True)
class _Waiting:
    held: int = 0
    free: int = 0
    oldest_seconds: float = 0.0


def backlog_section(waiting: Iterable[OpenIncident], *, purpose: str, as_of: str, undecided: int) -> ReportSection:
    """Incidents on which nobody has decided, and the age of the oldest.

    Args:
        waiting: of all purposes.
        as_of: when they were read.
        undecided: of the period's incidents.
    """
    found = {str(severity): _Waiting() for severity in Severity} | {ALL: _Waiting()}
    for incident in waiting:
        if incident.purpose == purpose:
            for of in (found[incident.severity], found[ALL]):
                of.held += incident.holder is not None
                of.free += incident.holder is None
                of.oldest_seconds = max(of.oldest_seconds, incident.age_seconds)
    return ReportSection(
        name="backlog",
        title="Backlog",
        answers={
            "Principle 11": "What is found and not acted on yet.",
            "Ofcom": "ICU C4: whether review is resourced for its targets.",
            "DSA": "Article 15(1)(c): timeliness of moderation by people.",
        },
        notes=(f"As of {as_of}, whatever the period is; the backlog of earlier times is on no record.",),
        tables=(
            table(
                "backlog",
                "Undecided incidents now",
                (text("severity"), count("waiting"), count("held"), seconds("oldest_seconds")),
                [
                    (of, one.free + one.held, one.held, one.oldest_seconds if one.free + one.held else None)
                    for of, one in found.items()
                ],
            ),
            table("undecided", "Raised in the period and undecided now", (count("incidents"),), [(undecided,)]),
        ),
    )
