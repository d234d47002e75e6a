"""Terms of retention: properties that hold for every incident, and the terms of the shipped policy."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import PolicyError
from config.policy.policy import load_policy, parse_policy
from config.policy.retention import (
    DAY_MS,
    FIVE_YEARS_DAYS,
    HOUR_MS,
    REPORTED_OUTCOMES,
    YEAR_DAYS,
    RecordedReport,
    ReportTerm,
    Retention,
    Standing,
    Terms,
    terms_of,
)

OUTCOMES = ("csea_apparent", "csea_suspected", "child_at_risk", "adult_tos", "other_harm", "harmless", "cannot_judge")
NOW_MS = 1_800_000_000_000
TERM_FIELDS = ("harmless_hours", "undecided_days", "cannot_judge_days", "adult_tos_days", "other_harm_days")

times = st.integers(NOW_MS, NOW_MS + 3 * 366 * DAY_MS)
reports = st.builds(
    RecordedReport, authority=st.sampled_from(("NCMEC", "ncmec", "NCA", "Bundeskriminalamt")), recorded_ms=times
)
standings = st.builds(
    Standing,
    outcome=st.sampled_from(("", *OUTCOMES)),
    since_ms=times,
    reports=st.lists(reports, max_size=3).map(tuple),
    holds=st.integers(0, 2),
)
days = st.integers(1, 3000)
years = st.integers(YEAR_DAYS, 3000)
report_terms = st.tuples(years, years).map(
    lambda pair: ReportTerm(authority="NCMEC", content_days=min(pair), reference_days=max(pair))
)
policies = st.builds(
    Retention,
    harmless_hours=st.floats(0.5, 9000),
    undecided_days=days,
    cannot_judge_days=days,
    adult_tos_days=days,
    other_harm_days=days,
    reports=report_terms.map(lambda term: (term,)),
)


def until(terms: Terms) -> float:
    """The end of the content's term; none is later than all."""
    return float("inf") if terms.content_until_ms is None else terms.content_until_ms


@given(standings, policies)
def test_hold_always_wins(standing: Standing, retention: Retention) -> None:
    """Evidence that a court asked for would be deleted."""
    terms = terms_of(replace(standing, holds=max(1, standing.holds)), retention)
    assert terms == Terms(content_until_ms=None, reference_until_ms=None, why="hold")
    assert not terms.is_over(10**18)


@given(standings, policies, st.sampled_from(TERM_FIELDS), st.integers(1, 2000))
def test_longer_term_never_shortens(standing: Standing, retention: Retention, field: str, more: int) -> None:
    """An operator who lengthens a term would delete evidence with it."""
    longer = retention.model_copy(update={field: getattr(retention, field) + more})
    assert until(terms_of(standing, longer)) >= until(terms_of(standing, retention))


@given(standings, policies, reports)
def test_further_report_never_shortens_what_reports_keep(
    standing: Standing, retention: Retention, report: RecordedReport
) -> None:
    """A second report would end the year that the first one started."""
    before = terms_of(standing, retention)
    after = terms_of(replace(standing, reports=(*standing.reports, report)), retention)
    if before.why != "unreported":
        assert until(after) >= until(before)
    content_days, reference_days = retention.report_days(report.authority)
    assert until(after) >= report.recorded_ms + content_days * DAY_MS
    assert after.reference_until_ms is None or after.reference_until_ms >= report.recorded_ms + reference_days * DAY_MS


@given(standings, policies, st.floats(0.5, 9000))
def test_undecided_is_never_deleted_by_the_term_of_harmless(
    standing: Standing, retention: Retention, hours: float
) -> None:
    """What nobody has looked at would be gone within hours."""
    undecided = replace(standing, outcome="")
    changed = retention.model_copy(update={"harmless_hours": hours})
    assert terms_of(undecided, changed) == terms_of(undecided, retention)
    assert until(terms_of(undecided, retention)) >= undecided.since_ms + retention.undecided_days * DAY_MS


@given(standings, policies, st.sampled_from(sorted(REPORTED_OUTCOMES)))
def test_csea_without_a_report_has_no_end(standing: Standing, retention: Retention, outcome: str) -> None:
    """Evidence of a crime would be deleted before anybody reported it."""
    unreported = replace(standing, outcome=outcome, reports=(), holds=0)
    assert terms_of(unreported, retention) == Terms(content_until_ms=None, reference_until_ms=None, why="unreported")


@given(standings, policies)
def test_reference_outlasts_content(standing: Standing, retention: Retention) -> None:
    """Evidence would lie in the store with nothing that says whose it is."""
    terms = terms_of(standing, retention)
    if terms.content_until_ms is None:
        assert terms.reference_until_ms is None
    else:
        assert terms.reference_until_ms is not None
        assert terms.reference_until_ms >= terms.content_until_ms


@given(standings, policies)
def test_revision_to_harmless_ends_no_report(standing: Standing, retention: Retention) -> None:
    """A year that the law demands would end with a click on `harmless`."""
    terms = terms_of(replace(standing, outcome="harmless"), retention)
    for report in standing.reports:
        assert until(terms) >= report.recorded_ms + YEAR_DAYS * DAY_MS


@pytest.mark.parametrize(
    ("standing", "content_ms", "reference_ms", "why"),
    [
        (Standing(outcome="harmless", since_ms=NOW_MS), 24 * HOUR_MS, 400 * DAY_MS, "harmless"),
        (Standing(outcome="", since_ms=NOW_MS), 30 * DAY_MS, 400 * DAY_MS, "undecided"),
        (Standing(outcome="cannot_judge", since_ms=NOW_MS), 30 * DAY_MS, 400 * DAY_MS, "cannot_judge"),
        (
            Standing(
                outcome="csea_apparent", since_ms=0, reports=(RecordedReport(authority="NCMEC", recorded_ms=NOW_MS),)
            ),
            366 * DAY_MS,
            366 * DAY_MS,
            "report",
        ),
        (
            Standing(
                outcome="csea_suspected", since_ms=0, reports=(RecordedReport(authority="nca ", recorded_ms=NOW_MS),)
            ),
            366 * DAY_MS,
            FIVE_YEARS_DAYS * DAY_MS,
            "report",
        ),
        (
            Standing(
                outcome="csea_apparent", since_ms=0, reports=(RecordedReport(authority="BKA", recorded_ms=NOW_MS),)
            ),
            366 * DAY_MS,
            FIVE_YEARS_DAYS * DAY_MS,
            "report",
        ),
    ],
)
def test_terms_of_the_shipped_policy(standing: Standing, content_ms: int, reference_ms: int, why: str) -> None:
    """The shipped terms would not be those of the documentation."""
    terms = terms_of(standing, load_policy().retention)
    assert terms == Terms(content_until_ms=NOW_MS + content_ms, reference_until_ms=NOW_MS + reference_ms, why=why)
    assert not terms.is_over(NOW_MS + content_ms - 1)
    assert terms.is_over(NOW_MS + content_ms)


def test_policy_without_the_section_has_the_shipped_terms() -> None:
    """A policy written for an earlier version would keep evidence for another time than the documented one."""
    old = parse_policy(b"version: 1\nrules: [{name: a, when: matched('x'), severity: high}]\n", "old")
    assert old.retention == load_policy().retention == Retention()


def test_outcome_of_a_later_version_is_kept() -> None:
    """A worker of this version would delete evidence whose outcome it does not understand."""
    assert terms_of(Standing(outcome="new_outcome", since_ms=0), Retention()).content_until_ms is None


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("{harmless_hours: 0}", "retention.harmless_hours"),
        ("{undecided_days: yes}", "retention.undecided_days"),
        ("{undecided_day: 3}", "unknown field 'undecided_day'"),
        ("{reports: [{authority: NCMEC, content_days: 90, reference_days: 366}]}", "content_days"),
        ("{reports: [{authority: NCMEC, content_days: 400, reference_days: 366}]}", "expected at least content_days"),
        ("{reports: [{authority: NCMEC}, {authority: ncmec}]}", "expected each authority once"),
        ("{reports: [{authority: '  '}]}", "expected an authority's name"),
    ],
)
def test_mistakes_are_refused(section: str, expected: str) -> None:
    """A typing error would shorten a term below the law's, or be ignored."""
    text = f"version: 1\nretention: {section}\nrules: [{{name: a, when: matched('x'), severity: high}}]\n"
    with pytest.raises(PolicyError) as refused:
        parse_policy(text.encode(), "policy")
    assert expected in str(refused.value)
    assert "line 2" in str(refused.value)


def kept(**more: Any) -> Standing:
    """An incident decided as harmless."""
    return Standing(outcome="harmless", since_ms=NOW_MS, **more)


def test_released_hold_gives_the_term_back() -> None:
    """Evidence would stay for good once it was held."""
    retention = Retention()
    assert terms_of(kept(holds=1), retention).content_until_ms is None
    assert terms_of(kept(holds=0), retention).content_until_ms == NOW_MS + DAY_MS
