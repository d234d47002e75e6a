"""Reports as Markdown, CSV and JSON, all of the same tables."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from worker.insight.sections import ReportSection, ReportTable, Unit, Value
from worker.insight.summary import PeriodReport

UNKNOWN: Final = "–"
"""In Markdown; CSV has an empty cell, JSON null."""

_MARKS: Final = re.compile(r"([\\`*\[\]<|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""Characters that are markup within a line; between letters an underscore is none."""
_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
"""Beginnings that a spreadsheet takes for a formula."""


def to_json(report: PeriodReport) -> str:
    """The report as one object, by config/schemas/insight.v1.json."""
    return json.dumps(report.to_data(), indent=2) + "\n"


def to_csv(report: PeriodReport) -> str:
    """The report's tables one below the other: a line with the table's name, its columns, its rows, an empty line.

    The first table is of the report itself, the second of what it cannot know.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("report", ("from", "to", "purpose", "generated"))
    period = report.period
    writer.writerows(
        [
            *([about[0]], about[1]),
            (period.first.isoformat(), period.last.isoformat(), report.purpose, report.generated),
            *([], ["limits"], ("code", "text")),
            *((limit.code, _cell(limit.text)) for limit in report.limits),
        ]
    )
    for section in report.sections:
        for table in section.tables:
            writer.writerows([[], [table.name], [column.name for column in table.columns]])
            writer.writerows([_cell(value) for value in row] for row in table.rows)
    return text.getvalue()


def _cell(value: Value) -> Value:
    """A value for CSV: names come from lists, rules and authorities, and a spreadsheet runs what looks like a
    formula."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def to_markdown(report: PeriodReport) -> str:
    """The report for people."""
    period = report.period
    lines = [
        f"# Livestream safety report, {period.first} to {period.last}",
        "",
        f"Purpose of the streams: {report.purpose}. Days are of UTC, and both are included. Made on "
        f"{report.generated} by Livewarden. No figure is about a person.",
        "",
        "## What this report cannot know",
        "",
        *([f"- {_escaped(limit.text)}" for limit in report.limits] or ["- Nothing is missing that Livewarden knows."]),
    ]
    for section in report.sections:
        lines += ["", *_section(section)]
    return "\n".join(lines) + "\n"


def _section(section: ReportSection) -> list[str]:
    lines = [f"## {section.title}", ""]
    lines += [f"- **{framework}**: {answered}" for framework, answered in section.answers.items()]
    for note in section.notes:
        lines += ["", _escaped(note)]
    for table in section.tables:
        lines += ["", f"### {table.title}", "", *_table(table)]
    return lines


def _table(table: ReportTable) -> list[str]:
    if not table.rows:
        return ["None."]
    left = [":--" if column.unit is Unit.TEXT else "--:" for column in table.columns]
    rows = [
        [_shown(value, column.unit) for column, value in zip(table.columns, row, strict=True)] for row in table.rows
    ]
    return [f"| {' | '.join(cells)} |" for cells in ([column.heading for column in table.columns], left, *rows)]


def in_words(value: Value, unit: Unit) -> str:
    """A value for people, as plain text: a name is as it is, and may have any markup."""
    if value is None or value == "":
        return UNKNOWN
    return value if isinstance(value, str) else _FORMS[unit](value)


def _shown(value: Value, unit: Unit) -> str:
    text = in_words(value, unit)
    return _escaped(text) or UNKNOWN if isinstance(value, str) else text


def duration(seconds: float) -> str:
    """A duration for people: `2.5 s`, `4 min 10 s`, `1,204.5 h`."""
    sign, amount = ("-" if seconds < 0 else ""), abs(seconds)
    if amount < 59.95:
        return f"{sign}{amount:.1f} s"
    if amount < 3599.5:
        minutes, rest = divmod(round(amount), 60)
        return f"{sign}{minutes} min {rest} s"
    return f"{sign}{amount / 3600:,.1f} h"


_FORMS: Final[Mapping[Unit, Callable[[float], str]]] = {
    Unit.TEXT: str,
    Unit.COUNT: "{:,}".format,
    Unit.SECONDS: duration,
    Unit.SHARE: "{:.1%}".format,
    Unit.NUMBER: "{:.2f}".format,
}


def _escaped(text: str) -> str:
    """A text that makes no markup, no cell and no line of its own: names of rules and lists may be anything."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
