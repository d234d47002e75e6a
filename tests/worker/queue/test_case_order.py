"""The order of open cases."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import SettingsError
from config.facts import Severity
from config.settings import Settings
from worker.queue.case_order import TURNS, CasesInOrder, Certainty, LongestWaits, OpenCase, order_cases

NOW_MS = 1_800_000_000_000
WAITS = LongestWaits()


def a_case(
    case_id: str,
    *,
    severity: Severity = Severity.CRITICAL,
    certainty: Certainty = Certainty.KNOWN,
    live: bool = True,
    waited_seconds: float = 10,
) -> OpenCase:
    return OpenCase(
        case_id=case_id,
        incident_id=f"i-{case_id}",
        incidents=1,
        stream_id=f"s-{case_id}",
        rule="known-material",
        severity=severity,
        certainty=certainty,
        live=live,
        purpose="live",
        hits=1,
        raised_ms=NOW_MS - round(waited_seconds * 1000),
    )


def claim(case: OpenCase) -> tuple[bool, int, int, int, str]:
    return (not case.live, case.severity.rank, case.certainty, case.raised_ms, case.case_id)


CASES = st.lists(
    st.builds(
        a_case,
        st.integers(0, 10**6).map(lambda number: f"case-{number}"),
        severity=st.sampled_from(Severity),
        certainty=st.sampled_from(Certainty),
        live=st.booleans(),
        waited_seconds=st.integers(0, 7200),
    ),
    max_size=40,
    unique_by=lambda case: case.case_id,
)


def test_live_then_severity_then_known_material_then_the_longest_waiting():
    """A moderator would decide on an ended stream while a child is abused on a live one."""
    expected = [
        a_case("a", waited_seconds=20),
        a_case("b", waited_seconds=10),
        a_case("c", certainty=Certainty.REPORTED, waited_seconds=30),
        a_case("d", certainty=Certainty.SCORED, waited_seconds=40),
        a_case("e", severity=Severity.HIGH, waited_seconds=300),
        a_case("f", severity=Severity.REVIEW, waited_seconds=600),
        a_case("g", live=False, waited_seconds=200),
        a_case("h", live=False, severity=Severity.REVIEW, waited_seconds=900),
    ]
    assert order_cases(expected[::-1], now_ms=NOW_MS) == expected


@given(CASES, st.integers(0, 9))
def test_the_order_loses_and_doubles_nothing_and_does_not_depend_on_that_of_reading(cases: list[OpenCase], turn: int):
    """A case would be on no page, or jump about on a page that is loaded again."""
    ordered = order_cases(cases, now_ms=NOW_MS, turn=turn)
    assert sorted(map(claim, ordered)) == sorted(map(claim, cases))
    assert order_cases(cases[::-1], now_ms=NOW_MS, turn=turn) == ordered
    assert order_cases(ordered, now_ms=NOW_MS, turn=turn) == ordered


@given(CASES, st.integers(0, 9))
def test_nothing_waits_past_its_limit_while_a_fresh_case_of_lower_claim_goes_first(cases: list[OpenCase], turn: int):
    """A case past its wait would be passed by one that may still wait and matters less."""
    ordered = order_cases(cases, now_ms=NOW_MS, turn=turn)
    for place, case in enumerate(ordered):
        if not case.is_past(WAITS, NOW_MS):
            assert all(claim(later) > claim(case) for later in ordered[place + 1 :])


@given(CASES, st.integers(0, 9))
def test_every_fourth_turn_is_of_the_case_longest_past_its_wait(cases: list[OpenCase], turn: int):
    """Reviews would starve under a flood of critical cases."""
    left = order_cases(cases, now_ms=NOW_MS, turn=turn)
    for place in range(len(left)):
        past = [case for case in left[place:] if case.is_past(WAITS, NOW_MS)]
        if (turn + place) % TURNS == TURNS - 1 and past:
            longest = min(past, key=lambda case: (case.raised_ms + WAITS.of_ms(case.severity), case.case_id))
            assert left[place] == longest
        else:
            assert left[place] == min(left[place:], key=claim)


def test_a_review_is_taken_though_live_critical_cases_never_end():
    """A broadcaster who floods the queue would keep every other stream from a person."""
    reviews = [
        a_case(f"r{number}", severity=Severity.REVIEW, live=False, waited_seconds=2000 - number) for number in range(3)
    ]
    waiting, taken = list(reviews), []
    for turn in range(3 * TURNS):
        waiting = [case for case in waiting if case not in taken]
        waiting += [a_case(f"flood-{turn}-{number}") for number in range(2)]
        taken.append(order_cases(waiting, now_ms=NOW_MS, turn=turn)[0])
    assert [case for case in taken if case.severity is Severity.REVIEW] == reviews


def test_a_new_live_case_stands_in_front_of_a_backlog_that_is_past_its_wait():
    """One hour's backlog of reviews would hide a live case of known material."""
    backlog = [a_case(f"r{number}", severity=Severity.REVIEW, live=False, waited_seconds=4000) for number in range(500)]
    fresh = a_case("new", waited_seconds=1)
    assert [order_cases([*backlog, fresh], now_ms=NOW_MS, turn=turn).index(fresh) for turn in range(TURNS)] == [
        0,
        0,
        0,
        1,
    ]


def test_a_case_at_its_limit_is_not_past_it():
    """The page would mark as late what is in time."""
    case = a_case("a", severity=Severity.HIGH, waited_seconds=900)
    assert not case.is_past(WAITS, NOW_MS)
    assert case.is_past(WAITS, NOW_MS + 1)
    assert not replace(case, raised_ms=NOW_MS + 5_000).is_past(WAITS, NOW_MS)


def test_a_deployment_sets_its_own_waits():
    """A team would be shown as late by the measure of another."""
    assert LongestWaits.of(Settings()) == LongestWaits()
    waits = LongestWaits.of(Settings.from_mapping({"LIVEWARDEN_WAIT_REVIEW_SECONDS": "60"}))
    assert a_case("a", severity=Severity.REVIEW, waited_seconds=61).is_past(waits, NOW_MS)
    with pytest.raises(SettingsError, match="LIVEWARDEN_WAIT_HIGH_SECONDS"):
        Settings.from_mapping({"LIVEWARDEN_WAIT_HIGH_SECONDS": "0"})


@given(CASES, CASES, st.lists(st.integers(0, 39), max_size=20), st.integers(0, 9))
def test_an_order_that_is_kept_up_is_the_order_made_anew(before, after, dropped, turn):
    """A page that is open would show another order than one that was just opened."""
    kept = CasesInOrder(WAITS)
    for case in (*before, *after):
        kept.put(case)
    left = {case.case_id: case for case in (*before, *after)}
    for case in [before[number] for number in dropped if number < len(before)]:
        kept.drop(case.case_id)
        left.pop(case.case_id, None)
    assert list(kept.in_turns(now_ms=NOW_MS, turn=turn)) == order_cases(left.values(), now_ms=NOW_MS, turn=turn)


def test_an_order_that_was_asked_for_stays_as_it_was():
    """A page would miss a case, or show one twice, while others change."""
    kept = CasesInOrder(WAITS)
    for number in range(9):
        kept.put(a_case(f"case-{number}"))
    asked = kept.in_turns(now_ms=NOW_MS, turn=0)
    assert next(asked).case_id == "case-0"
    kept.drop("case-1")
    kept.put(a_case("case-0", waited_seconds=1))
    assert [case.case_id for case in asked] == [f"case-{number}" for number in range(1, 9)]
