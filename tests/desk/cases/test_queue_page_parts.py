"""Filters, counters and rows of the queue page: pure, from cases as the queue has them."""

from dataclasses import replace
from typing import Any

import pytest

from config.facts import Severity
from desk.cases.queue_counts import MOST_ALARMS, QueueCounts, QueueTally
from desk.cases.queue_filter import SHOWS, QueueFilter
from desk.cases.queue_rows import QueueRow, row_of
from desk.texts.catalogue import load_texts
from worker.queue.case_order import Certainty, LongestWaits, OpenCase

TEXTS, WAITS, NOW_MS = load_texts(), LongestWaits(), 10_000_000
PLAIN = OpenCase(
    case_id="c",
    incident_id="i",
    incidents=1,
    stream_id="cam-1",
    rule="known",
    severity=Severity.CRITICAL,
    certainty=Certainty.KNOWN,
    live=True,
    purpose="live",
    hits=4,
    raised_ms=NOW_MS - 105_000,
    captured_first_ms=NOW_MS - 180_000,
    ground={"kind": "known", "list": "ncmec", "distance": 4},
)


def case(case_id: str = "c", **values: Any) -> OpenCase:
    return replace(PLAIN, **{"case_id": case_id, **values})


def row(one: OpenCase, reader: str = "kim") -> QueueRow:
    return row_of(one, reader=reader, now_ms=NOW_MS, waits=WAITS, texts=TEXTS)


def words(one: OpenCase) -> str:
    found = row(one)
    return " · ".join((found.finding, *found.details))


class TestFilter:
    CASES = (
        case("held", holder="Kim"),
        case("handed", holder="noor", handed_to="KIM"),
        case("lead", needs_role="lead", severity=Severity.HIGH),
        case("drill", purpose="drill", rule="nude", ground={"kind": "score"}),
        case("asked", help="who reads Tagalog?", help_by="noor"),
        case("over", live=False, stream_id="Studio-9"),
    )

    def chosen(self, **values: Any) -> list[str]:
        return [one.case_id for one in QueueFilter(**values).choose(self.CASES, "kim")]

    def test_each_part_has_its_cases(self) -> None:
        """A lead would miss what only leads may decide, or a drill be taken for real."""
        found = {show: self.chosen(show=show) for show in SHOWS}
        assert found == {
            "all": ["held", "handed", "lead", "drill", "asked", "over"],
            "live": ["held", "handed", "lead", "drill", "asked"],
            "mine": ["held"],
            "for_me": ["handed"],
            "lead": ["lead"],
            "drills": ["drill"],
            "help": ["asked"],
        }

    def test_filters_go_together(self) -> None:
        """A search among known material would show everything else too."""
        assert self.chosen(severity="high") == ["lead"]
        assert self.chosen(rule="nude") == ["drill"]
        assert self.chosen(listed="ncmec", find="studio") == ["over"]
        assert self.chosen(find="HELD") == ["held"]
        assert self.chosen(listed="police") == []

    @pytest.mark.parametrize("page", ["0", "-3", "x", "²", "9" * 30, "1.5", ""])
    def test_what_is_no_choice_is_the_default(self, page: str) -> None:
        """A hand-typed address would be an error, or read a page that does not exist."""
        query = {"show": "x", "severity": "worst", "page": page, "find": " cam ", "rule": "r" * 900}
        chosen = QueueFilter.of(query)
        assert (chosen.show, chosen.severity, chosen.page, chosen.find, len(chosen.rule)) == ("all", "", 1, "cam", 200)

    def test_its_address_reads_back(self) -> None:
        """The next page, or the stream of events, would show other cases."""
        chosen = QueueFilter(show="live", severity="high", rule="a&b=c", find="<x>", page=3)
        assert chosen.query(page=3) == "?show=live&severity=high&rule=a%26b%3Dc&find=%3Cx%3E&page=3"
        assert chosen.query() == chosen.query(page=1), "another filter begins with its first page"
        assert QueueFilter().query() == ""


def counted(*cases: OpenCase) -> QueueCounts:
    """The counters of these cases."""
    tally = QueueTally()
    for one in cases:
        tally.put(one)
    return tally.counts(now_ms=NOW_MS, waits=WAITS)


class TestCounts:
    def test_counters_count_cases_and_the_oldest(self) -> None:
        """A queue that grows old would look fresh."""
        cases = [
            case("a"),
            case("b", raised_ms=NOW_MS - 400_000, holder="kim"),
            case("c", severity=Severity.REVIEW, live=False, holder="Kim", rule="nude"),
            case("d", severity=Severity.REVIEW, holder="noor", handed_to="kim"),
        ]
        counts = counted(*cases)
        assert [(one.severity, one.cases, one.past) for one in counts.severities] == [
            (Severity.CRITICAL, 2, True),
            (Severity.HIGH, 0, False),
            (Severity.REVIEW, 2, False),
        ]
        assert [one.oldest_ms for one in counts.severities] == [NOW_MS - 400_000, None, NOW_MS - 105_000]
        assert (counts.open, counts.live, counts.held, counts.holders) == (4, 3, 3, 2)
        assert [counts.of_show(show, "KIM") for show in SHOWS] == [4, 3, 2, 1, 0, 0, 0]
        assert (counts.rules, counts.lists) == (("known", "nude"), ("ncmec",))

    def test_alarms_are_the_newest_critical_cases(self) -> None:
        """A new critical case would not sound where many are open."""
        cases = [case(f"c{number}", raised_ms=number) for number in range(MOST_ALARMS + 5)]
        critical = counted(*cases, case("high", severity=Severity.HIGH)).critical
        assert (len(critical), critical[0]) == (MOST_ALARMS, f"c{MOST_ALARMS + 4}")

    def test_cases_that_change_and_go_are_counted_as_they_are(self) -> None:
        """Counters would drift from the list beneath them, further with each change."""
        tally = QueueTally()
        for one in (case("a", holder="kim"), case("b"), case("c", severity=Severity.HIGH, handed_to="noor")):
            tally.put(one)
        changed = case("a", severity=Severity.REVIEW, raised_ms=NOW_MS - 5, rule="nude", live=False)
        tally.put(changed)
        for gone in ("b", "c", "never"):
            tally.drop(gone)
        assert tally.counts(now_ms=NOW_MS, waits=WAITS) == counted(changed)


class TestRow:
    @pytest.mark.parametrize(
        ("ground", "expected"),
        [
            (
                {"kind": "known", "list": "ncmec", "category": "A2", "distance": 4, "variant": "mirror"},
                "Known material · list ncmec · class A2 · distance 4 · mirrored",
            ),
            ({"kind": "reported"}, "Imminent danger · reported by the platform · no picture judged"),
            ({"kind": "unseen"}, "Coverage gap · the stream cannot be sampled"),
            ({"kind": "score", "name": "m/nsfw", "value": 0.914}, "Rule known · m/nsfw score 0.91"),
            ({"kind": "score", "value": "high"}, "Rule known"),
            (
                {"kind": "known", "variant": "of a newer version"},
                "Known material · list ? · distance ? · of a newer version",
            ),
            ({}, "Rule known"),
        ],
    )
    def test_each_ground_has_its_words(self, ground: dict[str, Any], expected: str) -> None:
        """A moderator would have to open a picture to see what it is; a damaged record would be an error."""
        assert words(case(ground=ground)) == expected

    def test_a_group_says_on_how_many_streams(self) -> None:
        """A raid would look like one stream's finding."""
        assert words(case(streams=14)).startswith("Known material on 14 streams")
        assert row(case(streams=14)).about[0] == "and 13 more"
        assert words(case(streams=14, ground={})) == "Rule known on 14 streams"

    def test_what_matters_is_tagged(self) -> None:
        """A drill would be reported to the police; or a moderator wait for what only a lead decides."""
        tags = {
            "Drill": case(purpose="drill"),
            "Needs a lead": case(needs_role="lead"),
            "Phone": case(ground={"kind": "reported"}),
            "Second judge": case(judged=True),
            "Help asked": case(help="who reads Tagalog?", help_by="noor"),
            "Handed to you": case(holder="noor", handed_to="Kim"),
            "Handed to ana": case(holder="noor", handed_to="ana"),
            "Past its wait": case(raised_ms=NOW_MS - 300_001),
            "Record damaged": case(rule="unreadable"),
        }
        assert {text: [tag.text for tag in row(one).tags] for text, one in tags.items()} == {
            text: [text] for text in tags
        }
        assert row(case(raised_ms=NOW_MS - 300_000)).tags == ()
        assert row(tags["Help asked"]).about[-1] == "noor asks: “who reads Tagalog?”"

    def test_a_held_case_names_its_holder(self) -> None:
        """Two people would open the same case."""
        held = case(holder="noor", taken_ms=NOW_MS - 40_000, hold_why="lunch")
        assert (row(held).holder, row(held).mine, row(held).hold) == ("noor", False, "lunch")
        assert (row(held, "Noor").holder, row(held, "Noor").mine) == ("you", True)
        assert row(case()).holder == ""

    def test_an_ended_stream_is_said(self) -> None:
        """A moderator would take it before one that is still live."""
        assert (row(case()).state_word, row(case()).found_ms) == ("Live now", NOW_MS - 180_000)
        over = row(case(live=False))
        assert (over.live, over.state_word, over.found_ms) == (False, "Ended", None)

    def test_an_element_s_id_is_no_foreign_text(self) -> None:
        """A case's id with a space in it would break the script that keeps its row still."""
        assert row(case('" onclick=x \udcff')).row_id.startswith("row-")
        assert row(case("a")).row_id != row(case("b")).row_id
