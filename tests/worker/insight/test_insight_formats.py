"""Formats of reports: Markdown, CSV and plots, also with hostile names."""

import csv
import io
import re
from datetime import date
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ingest.coverage.totals import DayTotals
from worker.insight.durations import DurationSketch
from worker.insight.formats import duration, in_words, to_csv, to_markdown
from worker.insight.limits import ReportLimit
from worker.insight.period import Period
from worker.insight.plots import DARK, LIGHT, coverage_plot, times_plot
from worker.insight.sections import ReportSection, Unit, count, table, text
from worker.insight.summary import PeriodReport
from worker.insight.totals_sections import coverage_section

PERIOD = Period(first=date(2026, 11, 1), last=date(2026, 11, 3))
DAY = DayTotals.of(
    date(2026, 11, 2),
    "live",
    {"streams": 2, "ms elapsed": 7_200_000, "ms moderated": 5_400_000, "ms missed: stalled": 900_000},
)


def report(*names: str) -> PeriodReport:
    named = ReportSection(
        name="named",
        title="Named",
        answers={"DSA": "What has a name."},
        tables=(table("named", "By name", (text("rule"), count("count")), [(name, 1) for name in names]),),
    )
    return PeriodReport(
        period=PERIOD,
        purpose="live",
        generated="2026-11-27T12:00:00Z",
        limits=(ReportLimit(code="days_without_data", text="2 days: nothing was counted."),),
        sections=(coverage_section([DAY]), named),
        days=(DAY,),
        times={},
    )


def tables_of(content: str) -> dict[str, list[list[str]]]:
    """Tables of a CSV report by their names."""
    found: dict[str, list[list[str]]] = {}
    name = ""
    for row in csv.reader(io.StringIO(content)):
        if not row:
            name = ""
        elif not name:
            (name,) = row
            found[name] = []
        else:
            found[name].append(row)
    return found


def test_markdown_is_readable() -> None:
    """A regulator would get numbers without what they mean, or without what is missing."""
    shown = to_markdown(report("known"))
    assert shown.startswith("# Livestream safety report, 2026-11-01 to 2026-11-03\n")
    assert "## What this report cannot know\n\n- 2 days: nothing was counted.\n" in shown
    assert "- **Principle 11**: " in shown
    assert "- **Ofcom**: " in shown
    assert "- **DSA**: " in shown
    assert "| 2 | 2.0 h | 1.5 h | 0.0 s | 0.0 s | 15 min 0 s | 15 min 0 s | 75.0% |" in shown


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3))
def test_names_make_no_markup_and_no_lines(names: list[str]) -> None:
    """Whoever names a rule or a list could write the report, or break its tables."""
    shown = to_markdown(report(*names))
    rows = shown.partition("### By name\n\n")[2].splitlines()
    assert len(rows) == 2 + len(names)
    for row in rows:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)", "+1", "-1", "\t=1"])
def test_names_are_no_formulas(name: str) -> None:
    """A spreadsheet would run what a list is called."""
    (_, (shown, _)) = tables_of(to_csv(report(name)))["named"]
    assert shown == f"'{name}"


def test_csv_has_one_table_a_section_and_all_numbers() -> None:
    """An analyst would have to copy numbers from the text."""
    found = tables_of(to_csv(report("known")))
    assert list(found) == ["report", "limits", "coverage_total", "coverage_reasons", "coverage_days", "named"]
    assert found["report"][1] == ["2026-11-01", "2026-11-03", "live", "2026-11-27T12:00:00Z"]
    assert found["limits"][1][0] == "days_without_data"
    names, row = found["coverage_days"]
    assert dict(zip(names, row, strict=True))["unsettled_seconds"] == "900.0"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (3599.4, "59 min 59 s"),
        (3600.0, "1.0 h"),
        (-5, "-5.0 s"),
    ],
)
def test_durations_are_for_people(seconds: float, shown: str) -> None:
    """A reader would divide by 3600, or read 60 s as another minute."""
    assert duration(seconds) == shown


def titles(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [str(one.text) for one in root.iter("{http://www.w3.org/2000/svg}title")]


def test_values_are_in_words_for_a_page() -> None:
    """A page would show a share of 0.9871 or a name with marks of Markdown, or nothing where nothing is known."""
    assert in_words(0.9871, Unit.SHARE) == "98.7%"
    assert in_words(1_284, Unit.COUNT) == "1,284"
    assert in_words("a_*b*", Unit.TEXT) == "a_*b*"
    assert in_words(None, Unit.SHARE) == in_words("", Unit.TEXT) == "–"


def test_plots_fit_a_strict_page_and_say_what_they_show() -> None:
    """A page with a strict policy would not show them, and a screen reader nothing of them."""
    sketch = DurationSketch()
    sketch.add(90)
    for svg in (coverage_plot(PERIOD, [DAY]), times_plot(PERIOD, {date(2026, 11, 2): sketch})):
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert not [one for one in root.iter() if one.tag.endswith(("script", "style", "image")) or one.get("style")]
        assert not re.search(r"(?:href|src|on\w+)=", svg)
    shown = titles(coverage_plot(PERIOD, [DAY]))
    assert "2026-11-02: missed 15 min 0 s of 2.0 h" in shown
    assert [title for title in shown if title.endswith("no data")] == ["2026-11-01: no data", "2026-11-03: no data"]
    assert "2026-11-01: no decision" in titles(times_plot(PERIOD, {date(2026, 11, 2): sketch}))


def test_a_dark_plot_has_no_colour_of_a_light_one() -> None:
    """A page in dark mode would have a white field in it, or dark words on a dark ground."""
    sketch = DurationSketch()
    sketch.add(90)
    light = {LIGHT.ink, LIGHT.faint, LIGHT.grid, LIGHT.stem, LIGHT.hatch, LIGHT.paper, *LIGHT.parts.values()}
    assert list(LIGHT.parts) == list(DARK.parts)
    for svg in (coverage_plot(PERIOD, [DAY], DARK), times_plot(PERIOD, {date(2026, 11, 2): sketch}, DARK)):
        assert set(re.findall("#[0-9a-f]{6}", svg)).isdisjoint(light)


@pytest.mark.parametrize("days", [1, 31, 400])
def test_marks_stay_within_the_plot(days: int) -> None:
    """Bars of a year would lie over the axis, or outside of the picture."""
    first = date(2026, 1, 1)
    period = Period(first=first, last=date.fromordinal(first.toordinal() + days - 1))
    sketch = DurationSketch()
    for seconds in (0.0, 5e6):
        sketch.add(seconds)
    # More was settled than listed: of the day before.
    fields = {"ms elapsed": 1_000, "ms moderated": 5_000, "ms failed: http_404": -3}
    totals = [DayTotals.of(day, "live", fields) for day in period.days()]
    for svg in (coverage_plot(period, totals), times_plot(period, dict.fromkeys(period.days(), sketch))):
        for one in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect"):
            left, top = float(one.get("x", 0)), float(one.get("y", 0))
            assert left >= 0
            assert top >= 0
            assert left + float(one.get("width", 0)) <= 960
            assert top + float(one.get("height", 0)) <= 320
