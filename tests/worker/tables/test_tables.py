"""Tables on terminals of any width: IDs that people copy from them are complete."""

import ast
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from worker.cli.screen import Screen
from worker.logs.printable import printable
from worker.tables.checks import Checks
from worker.tables.field_table import FieldTable
from worker.tables.listing import Listing, fixed, ids, numbers, texts

ROOT = Path(__file__).parents[3]
UUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
INCIDENT = "0f1e2d3c4b5a69788796a5b4"
LONGEST = "-".join(f"{number:03}" for number in range(50))
assert len(LONGEST) == 199


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def shown(table: RenderableType, width: int | None = None) -> list[str]:
    """Lines on a terminal of that width; None: as written into a file."""
    out = io.StringIO()
    options = {} if width is None else {"width": width}
    Screen(file=out, **options).print(table)
    return out.getvalue().split("\n")[:-1]


def queue(*streams: str) -> Listing:
    table = Listing(
        fixed("severity"),
        ids("incident"),
        numbers("hits"),
        ids("stream"),
        ids("rule"),
        texts("held by"),
        left_out_first=("hits", "held by", "rule"),
    )
    for stream in streams:
        table.add("critical", INCIDENT, "12", stream, "known-material", "Ann of the night shift for 0:09:59")
    return table


def test_columns_are_dropped_in_order_and_ids_stay() -> None:
    """A moderator could not copy a truncated stream ID, or would see `hits` in place of the more important rule."""
    wide = shown(queue("cam-1", UUID), 140)
    assert wide[0].split() == ["severity", "incident", "hits", "stream", "rule", "held", "by"]
    middle = shown(queue("cam-1", UUID), 100)
    assert middle[0].split() == ["severity", "incident", "stream", "rule"]
    assert middle[-1] == "left out at this width: hits, held by"
    narrow = shown(queue("cam-1", UUID), 80)
    assert narrow == [
        "severity  incident                  stream",
        f"critical  {INCIDENT}  cam-1",
        f"critical  {INCIDENT}  {UUID}",
        "left out at this width: hits, held by, rule",
    ]


def test_one_long_id_takes_no_columns_from_other_rows() -> None:
    """A broadcaster with an ID of 200 characters would hide rules and holders of all other streams."""
    lines = shown(queue("cam-1", LONGEST, "cam-2"), 80)
    assert lines[0].split() == ["severity", "incident", "stream", "rule", "held", "by"]
    assert LONGEST in "".join(line.strip() for line in lines)
    assert max(map(len, lines)) <= 80
    first = Listing(ids("stream"), texts("state"))
    for stream in ("cam-1", LONGEST):
        first.add(stream, "live")
    _, one, *longest, state = shown(first, 80)
    assert ("".join(longest), one.split(), state.split()) == (LONGEST, ["cam-1", "live"], ["live"])


def test_in_a_file_each_record_is_one_line() -> None:
    """`livewarden queue list | grep ID` would find half an ID."""
    lines = shown(queue("cam-1", LONGEST))
    assert [len(line.split("  ")) >= 6 for line in lines] == [True] * 3
    assert LONGEST in lines[2]
    assert not any(line.endswith(" ") for line in lines)
    table = Listing(ids("model"), texts("scores"), fixed("weights"))
    table.add("age", Text("minor\nadult"), "there")
    assert shown(table)[1:] == ["age    minor, adult  there"]
    assert [line.split() for line in shown(table, 80)[1:]] == [["age", "minor", "there"], ["adult"]]


@pytest.mark.parametrize(("columns", "bounded"), [("60", True), ("0", False), ("", False), ("many", False)])
def test_columns_sets_the_width_in_a_file(columns: str, bounded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A requested width would be ignored; or a shell that exports COLUMNS=0 would get an empty table."""
    monkeypatch.setenv("COLUMNS", columns)
    lines = shown(queue(LONGEST))
    assert (max(map(len, lines)) <= 60) is bounded
    assert (LONGEST in "\n".join(lines)) is not bounded


def test_on_a_narrow_terminal_records_are_shown_one_below_another() -> None:
    """On a phone in portrait, or half a split screen, columns would run into each other."""
    lines = shown(queue(UUID), 40)
    assert lines[0].split() == ["severity", "critical"]
    assert UUID in "".join(line.strip() for line in lines).replace("stream", "")
    assert max(map(len, lines)) <= 40


names = st.text(st.characters(), max_size=60)


@given(st.lists(st.tuples(names, names), min_size=1, max_size=4), st.integers(20, 130))
def test_nothing_is_cut_and_no_character_breaks_a_line(records: list[tuple[str, str]], width: int) -> None:
    """Names with emoji, Chinese or control characters would shift columns, steer the terminal, or lose their end."""
    table, facts = Listing(ids("stream"), numbers("lag"), texts("state"), left_out_first=("lag",)), FieldTable()
    for stream, state in records:
        table.add(stream, "12.5 s", state)
        facts.add("state", state)
        facts.add("stream", stream)
    for each in (table, facts):
        lines = shown(each, width)
        assert all(line.isprintable() for line in lines)
        assert max(map(cell_len, lines)) <= width
        together = "".join("".join(lines).split())
        for reported in (text for record in records for text in record):
            assert "".join(printable(reported).split()) in together


def test_brackets_in_foreign_texts_are_no_markup() -> None:
    """A stream called `[red]` would vanish from the table, or `[/]` would end the command."""
    table = Listing(ids("stream"), texts("state"))
    table.add("[red]a[/]", "[/b]")
    facts = FieldTable(title="[bold]t")
    facts.add("[i]n", "[/]v")
    checks = Checks()
    checks.add(Text("ok"), "[b]c", "[/]found", well=True)
    for each, reported in (
        (table, ("[red]a[/]", "[/b]")),
        (facts, ("[bold]t", "[i]n", "[/]v")),
        (checks, ("[/]found",)),
    ):
        text = "\n".join(shown(each, 80))
        assert all(one in text for one in reported)


def test_the_order_of_dropped_columns_is_documented() -> None:
    """An operator would look for a column at 80 columns and not know why it is missing."""
    documented = (ROOT / "docs" / "tables.md").read_text()
    orders = [
        ", ".join(ast.literal_eval(keyword.value))
        for path in sorted((ROOT / "worker").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "left_out_first" and isinstance(keyword.value, ast.Tuple)
    ]
    assert len(orders) >= 10
    assert [order for order in orders if f"| {order} |" not in documented] == []


class TestChecks:
    def table(self) -> Checks:
        checks = Checks()
        checks.add(Text("ok"), "policy", f"version 7, live rules: {', '.join([UUID] * 9)}", well=True)
        checks.add(Text("fail"), "redis", "cannot be reached: " + "why " * 30, advice="start it " * 20, well=False)
        checks.add(Text("ok"), "clock", "right", advice="", well=True)
        return checks

    def test_a_passed_check_is_one_line_at_any_width(self) -> None:
        """An operator would search for the fault among lines of passed checks; or a truncated ID would pass for
        another."""
        for width in (80, 200):
            lines = shown(self.table(), width)
            assert max(map(len, lines)) <= width
            (policy,) = [line for line in lines if line.startswith("ok    policy")]
            assert policy.endswith(f"{UUID}, …" if width == 200 else "…")
            assert set(policy.replace(",", "").split()[6:-1]) <= {UUID}
            assert lines[-1] == "ok    clock   right"

    def test_a_failed_check_is_complete_with_its_advice_on_its_own_line(self) -> None:
        """The end of an error, which says what to fix, would be cut off."""
        lines = shown(self.table(), 80)
        begin = next(number for number, line in enumerate(lines) if line.startswith("fail"))
        advice = next(number for number, line in enumerate(lines) if "→" in line)
        assert "".join(lines[begin:advice]).count("why") == 30
        assert "".join(lines[advice:]).count("start it") == 20
        assert shown(self.table())[2].strip() == f"→ {'start it ' * 20}".strip()
        assert len(shown(self.table())) == 4
