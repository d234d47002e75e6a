"""Rows of the queue: cases in words, from the queue of a real Valkey."""

import pytest
from redis import Redis
from scene import Scene

from config.facts import Severity
from desk.cases.open_cases import SHOWS, OpenCase, cases_of, chosen, counts_of, read_cases, with_events
from desk.cases.row_words import row_of
from desk.texts.catalogue import load_texts
from worker.queue.claims import OpenIncident, take

TEXTS = load_texts()


def incident(incident_id: str, **values: object) -> OpenIncident:
    fields: dict[str, object] = {
        "stream_id": "cam-1",
        "rule": "known",
        "severity": Severity.CRITICAL,
        "purpose": "live",
        "hits": 1,
        "age_seconds": 105.0,
        "holder": None,
        "lease_seconds": 0.0,
    }
    return OpenIncident(incident_id=incident_id, **{**fields, **values})  # type: ignore[arg-type]


def test_a_case_is_one_row_where_its_most_urgent_incident_stands() -> None:
    """Two moderators would judge one case; or a critical one would stand below a review."""
    cases = cases_of([incident("a", case_id="x"), incident("b", case_id="y"), incident("c", case_id="x")])
    assert [(case.case_id, len(case.incidents)) for case in cases] == [("x", 2), ("y", 1)]


def test_incidents_of_an_older_version_are_rows_of_their_own() -> None:
    """Incidents without a case would be one row, of which only the first is seen."""
    assert len(cases_of([incident("a"), incident("b")])) == 2


def test_counters_count_cases_and_the_oldest(redis: Redis) -> None:
    """A queue that grows old would look fresh."""
    cases = cases_of([incident("a"), incident("b", severity=Severity.HIGH, age_seconds=30), incident("c")])
    counts = {one.severity: (one.cases, one.oldest_seconds) for one in counts_of(cases)}
    assert counts == {Severity.CRITICAL: (2, 105.0), Severity.HIGH: (1, 30), Severity.REVIEW: (0, None)}


def test_filters_show_what_they_say() -> None:
    """A lead would miss what only leads may decide, or a drill be taken for real."""
    cases = cases_of(
        [
            incident("a", holder="Kim"),
            incident("b", needs_role="lead"),
            incident("c", purpose="drill"),
            incident("d", stream_id="Studio-9"),
        ]
    )
    found = {show: [one.case_id for one in chosen(cases, show=show, find="", reader="kim")] for show in SHOWS}
    assert found == {"all": ["a", "b", "c", "d"], "mine": ["a"], "lead": ["b"], "drills": ["c"]}
    assert [one.case_id for one in chosen(cases, show="all", find="studio", reader="kim")] == ["d"]


class TestWords:
    def test_known_material_has_its_list_and_distance(self, scene: Scene) -> None:
        """A moderator would have to open a case to see that it is known material."""
        scene.raise_incident("cam-1")
        (case,) = with_events(scene.redis, read_cases(scene.redis))
        row = row_of(case, "kim", TEXTS)
        assert (row.severity, row.finding, row.details) == ("critical", "Known material", "list known · distance 4")
        assert row.where == "cam-1 · rule known"
        assert (row.holder, row.mine) == ("nobody", False)

    def test_a_score_is_named_with_its_figure(self, scene: Scene) -> None:
        """A moderator would not see how sure the finding is."""
        scene.raise_incident("cam-1", Severity.HIGH)
        (case,) = with_events(scene.redis, read_cases(scene.redis))
        row = row_of(case, "kim", TEXTS)
        assert (row.finding, row.details) == ("Score over its threshold", "m/nsfw 0.95")

    def test_a_held_case_names_its_holder(self, scene: Scene) -> None:
        """Two people would open the same case."""
        scene.raise_incident("cam-1")
        take(scene.redis, "noor")
        (case,) = read_cases(scene.redis)
        assert row_of(case, "kim", TEXTS).holder == "noor"
        assert (row_of(case, "noor", TEXTS).holder, row_of(case, "noor", TEXTS).mine) == ("you", True)

    def test_a_drill_and_a_case_for_leads_are_marked(self) -> None:
        """A drill would be reported to the police; or a moderator would wait for what only leads decide."""
        drill, lead = cases_of([incident("a", purpose="drill"), incident("b", needs_role="lead")])
        assert (row_of(drill, "kim", TEXTS).tag, row_of(lead, "kim", TEXTS).tag) == ("Drill", "For a lead")

    @pytest.mark.parametrize(
        "data",
        [
            {},
            {"matches": 3, "scores": [1], "stream_state": {}},
            {"matches": [None, {"distance": "4"}], "scores": {"m": "high", "n": True}},
            {"matches": [{"distance": 4}]},
            {"gap": {}},
            {"signal": None},
        ],
    )
    def test_a_damaged_event_is_a_row_all_the_same(self, data: dict[str, object]) -> None:
        """One foreign record would take the queue from everybody."""
        row = row_of(OpenCase(incidents=(incident("a"),), data=data), "kim", TEXTS)
        assert row.finding
        assert row.state == ""

    @pytest.mark.parametrize(("state", "expected"), [("live", "live"), ("stalled", "live"), ("ended", "ended")])
    def test_a_stream_s_state_is_said(self, state: str, expected: str) -> None:
        """A moderator would take an ended stream before one that is still live."""
        assert (
            row_of(OpenCase(incidents=(incident("a"),), data={"stream_state": state}), "kim", TEXTS).state == expected
        )


def test_a_case_decided_between_two_reads_is_no_error(scene: Scene) -> None:
    """The page would fail whenever a colleague decides at the same moment."""
    gone = OpenCase(incidents=(incident("0" * 32),))
    (case,) = with_events(scene.redis, [gone])
    assert case.data == {}
