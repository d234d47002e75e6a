"""Retention: how long evidence and the record of an incident are kept, by its outcome, its reports and its holds.

Sources of the terms: a provider in the USA preserves what it reported for a year after the report (18 U.S.C. 2258A(h),
as amended by the REPORT Act of 2024). For the United Kingdom content and basis of a report are kept for a year, its
reference for five.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

DAY_MS: Final = 24 * 3_600_000
HOUR_MS: Final = 3_600_000

YEAR_DAYS: Final = 366
"""A year, in days, as a term: never shorter than a calendar year."""
FIVE_YEARS_DAYS: Final = 5 * 365 + 2
"""Five years likewise: two of them may have a leap day."""
LONGEST_DAYS: Final = 20 * YEAR_DAYS
"""A longer term is taken for a mistake."""
RECORD_DAYS: Final = 400
"""Time for which the record of a decided incident is kept at least: a year, and a month for an inquiry."""

NAME_CHARACTERS: Final = 100

REPORTED_OUTCOMES: Final = frozenset({"csea_apparent", "csea_suspected", "child_at_risk"})
"""Outcomes that a platform may have to report: nothing of them is deleted before a report is recorded."""


def authority_name(value: str) -> str:
    """Returns an authority's name, stripped.

    Raises:
        ValueError: it is empty, over `NAME_CHARACTERS` characters, or has control characters.
    """
    name = value.strip()
    if not name.isprintable() or not 1 <= len(name) <= NAME_CHARACTERS:
        raise ValueError(
            f"{value[:NAME_CHARACTERS]!r}: expected an authority's name of 1 to {NAME_CHARACTERS} characters"
        )
    return name


_Days = Annotated[int, Field(ge=1, le=LONGEST_DAYS, strict=True)]
_YearAtLeast = Annotated[int, Field(ge=YEAR_DAYS, le=LONGEST_DAYS, strict=True)]


class ReportTerm(BaseModel):
    """The terms that a report to one authority starts."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    authority: Annotated[str, AfterValidator(authority_name)]
    """Its name, as `livewarden report record --authority` gives it; small and capital letters are alike."""
    content_days: _YearAtLeast = YEAR_DAYS
    """Evidence and the basis of the report are kept for so long from the report on. No less than a year: shorter than
    the law asks is refused."""
    reference_days: _YearAtLeast = YEAR_DAYS
    """The reference of the report is kept for so long: authority, ID, case, time."""

    @model_validator(mode="after")
    def _reference_outlasts_content(self) -> "ReportTerm":
        if self.reference_days < self.content_days:
            raise ValueError(f"reference_days: expected at least content_days, {self.content_days}")
        return self


_REPORTS: Final = (
    ReportTerm(authority="NCMEC"),
    ReportTerm(authority="NCA", reference_days=FIVE_YEARS_DAYS),
)


def _distinct(value: tuple[ReportTerm, ...]) -> tuple[ReportTerm, ...]:
    names = [term.authority.casefold() for term in value]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r}: expected each authority once")
    return value


class Retention(BaseModel):
    """Terms after which evidence is deleted, by the outcome of its incident. A legal hold is above all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    harmless_hours: float = Field(default=24.0, gt=0, le=LONGEST_DAYS * 24, strict=True)
    """From the decision `harmless` on: time for a second person to look."""
    undecided_days: _Days = 30
    """Without any decision, from the incident's newest event on."""
    cannot_judge_days: _Days = 30
    """From the decision on."""
    adult_tos_days: _Days = 30
    """From the decision on: time for the broadcaster to object."""
    other_harm_days: _Days = 90
    """From the decision on."""
    reports: Annotated[tuple[ReportTerm, ...], AfterValidator(_distinct)] = _REPORTS
    """Terms by authority. An authority that is not named here has the longest of these and of the built-in ones.

    `csea_apparent`, `csea_suspected` and `child_at_risk` are kept without end until a report of their case is recorded;
    its terms follow."""

    def report_days(self, authority: str) -> tuple[int, int]:
        """Days for which content and reference of a report to that authority are kept."""
        for term in self.reports:
            if term.authority.casefold() == authority.strip().casefold():
                return term.content_days, term.reference_days
        longest = (*self.reports, *_REPORTS)
        return max(term.content_days for term in longest), max(term.reference_days for term in longest)

    def decided_ms(self, outcome: str) -> int | None:
        """The term of an outcome in ms, from its decision on; None: none, it is kept until a report is recorded, as is
        what has an outcome of a later version."""
        known: Mapping[str, float] = {
            "harmless": self.harmless_hours * HOUR_MS,
            "cannot_judge": self.cannot_judge_days * DAY_MS,
            "adult_tos": self.adult_tos_days * DAY_MS,
            "other_harm": self.other_harm_days * DAY_MS,
        }
        term = known.get(outcome)
        return None if term is None else round(term)


@dataclass(frozen=True, kw_only=True)
class RecordedReport:
    """A report to an authority, as retention sees it."""

    authority: str
    recorded_ms: int
    """Redis's clock."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """All that decides how long an incident's evidence is kept."""

    outcome: str
    """Outcome in force; empty: undecided."""
    since_ms: int
    """Time of the decision in force; of an undecided one, of its newest event."""
    reports: Sequence[RecordedReport] = ()
    """Reports of its case."""
    holds: int = 0
    """Legal holds on it that are not released."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The ends of an incident's terms: each the first instant at which deletion is due; None: there is no end yet."""

    content_until_ms: int | None
    """End for its evidence."""
    reference_until_ms: int | None
    """End for its record and the references of its reports; never before the content's."""
    why: str
    """Reason of the content's term: `hold`, `report`, `unreported`, `undecided`, or the outcome."""

    def is_over(self, now_ms: int) -> bool:
        """Returns whether the evidence is to be deleted now (<=)."""
        return self.content_until_ms is not None and self.content_until_ms <= now_ms


def terms_of(standing: Standing, retention: Retention) -> Terms:
    """The terms of an incident. The longest term that applies counts, and a hold has none.

    Each report starts its own terms, whatever the outcome was or has become: what was reported is preserved, also if
    a later decision calls it harmless.
    """
    own_ms = retention.undecided_days * DAY_MS if not standing.outcome else retention.decided_ms(standing.outcome)
    contents: list[tuple[int, str]] = []
    references = [standing.since_ms + RECORD_DAYS * DAY_MS]
    if own_ms is not None:
        contents.append((standing.since_ms + own_ms, standing.outcome or "undecided"))
    for report in standing.reports:
        content_days, reference_days = retention.report_days(report.authority)
        contents.append((report.recorded_ms + content_days * DAY_MS, "report"))
        references.append(report.recorded_ms + reference_days * DAY_MS)
    if standing.holds:
        return Terms(content_until_ms=None, reference_until_ms=None, why="hold")
    if not contents:
        return Terms(content_until_ms=None, reference_until_ms=None, why="unreported")
    content_until_ms, why = max(contents)
    return Terms(content_until_ms=content_until_ms, reference_until_ms=max(*references, content_until_ms), why=why)
