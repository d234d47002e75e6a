"""Reasons in words, of events as they are, damaged, hostile and of a newer version."""

from typing import Any

import pytest

from desk.cases.match_words import FURTHEST, scale_of
from desk.cases.reason_words import reason_of
from desk.texts.catalogue import load_texts

TEXTS = load_texts()
NOW_MS = 1_795_795_800_000  # 27 November 2026, 16:10 UTC
MATCH = {"list": "ncmec", "entry": "7f3a", "distance": 4, "max_distance": 31, "category": "A2", "version": "24 Nov"}


def record(**data: Any) -> dict[str, Any]:
    """An incident's record, with the data of its event."""
    values: dict[str, Any] = {
        "degraded": [],
        "hits": 4,
        "matches": [],
        "scores": {},
        "versions": {"policy": "2+9c1e44", "lists": {}, "models": {}},
        "times": {
            "captured_first": "2026-11-27T16:08:00.000Z",
            "captured_last": "2026-11-27T16:08:38.000Z",
            "raised": "2026-11-27T16:08:31.000Z",
        },
    }
    event = {
        "type": "livewarden.escalation.raised.v1",
        "dataschema": "urn:livewarden:schema:escalation.v1#/$defs/raised",
        "data": {**values, **data},
    }
    return {
        "incident_id": "b8f6c57db0611ad4bf11657f",
        "state": "open",
        "rule": "the-rule",
        "severity": "critical",
        "hits": values["hits"],
        "ended": None,
        "decisions": [],
        "event": event,
    }


def facts(reason: Any) -> dict[str, str]:
    return {fact.term: fact.value for fact in reason.facts}


def test_what_a_lead_allowed_for_one_list_is_not_why_another_list_calls_a_person() -> None:
    """A moderator would read that the picture is harmless, in place of the list that has it as known material."""
    allow = {"list": "allow", "entry": "e-1", "distance": 4, "max_distance": 8, "category": "harmless"}
    reason = reason_of(record(matches=[allow, MATCH], condition={"when": 'matched("ncmec")'}), NOW_MS, TEXTS)
    assert reason.title.startswith("On list ncmec")
    assert facts(reason)["Entry"] == "7f3a"
    assert [row.list for row in reason.matches] == ["allow"]


def test_a_picture_of_another_rendition_says_so() -> None:
    """A moderator would look at the watched rendition, see nothing of the kind, and take the picture for a mistake."""
    segment = {"media_sequence": 7, "uri": "https://cdn.example/high/7.ts"}
    condition = {"when": 'matched("ncmec")'}
    watched = record(matches=[MATCH], condition=condition, segment=segment)
    assert "Rendition" not in facts(reason_of(watched, NOW_MS, TEXTS))
    audited = record(matches=[MATCH], condition=condition, segment={**segment, "rendition": "1280x720"})
    assert facts(reason_of(audited, NOW_MS, TEXTS))["Rendition"].startswith("1280x720, which is not watched")


def test_known_material_has_its_list_and_what_the_distance_means() -> None:
    """A moderator would not know how near the picture is to a listed one, or to which."""
    condition = {
        "description": "One is enough.",
        "when": 'matched("ncmec")',
        "persistence": {"hits": 1, "within_seconds": 10},
    }
    reason = reason_of(record(matches=[MATCH], condition=condition), NOW_MS, TEXTS)
    assert reason.title == "On list ncmec, at distance 4 of 31"
    assert reason.text.startswith("Held for 4 pictures in 38 s. The rule asks for one. Re-encoding moves")
    assert facts(reason) == {
        "List": "ncmec, version 24 Nov",
        "Class": "A2, as the list says",
        "Entry": "7f3a",
        "Matched": "as is, not transformed",
        "Counts": "up to distance 31",
        "Seen": "16:08:00 to 16:08:38",
    }
    assert reason.scale is not None
    assert reason.scale.label == "Distance 4 on a scale from 0 to 31: as good as equal"
    assert (reason.policy, reason.when, reason.description) == ("2+9c1e44", 'matched("ncmec")', "One is enough.")


@pytest.mark.parametrize(
    ("distance", "means"),
    [(0, "as good as equal"), (9, "as good as equal"), (10, "re-encoded"), (20, "re-encoded"), (21, "may be chance")],
)
def test_each_distance_has_its_meaning(distance: int, means: str) -> None:
    """A coincidence would read like the listed picture."""
    scale = scale_of({"distance": distance}, TEXTS)
    assert scale is not None
    assert scale.label.endswith(means)
    assert 0 <= scale.near_x < scale.chance_x <= 100
    assert scale.x == round(100 * distance / FURTHEST, 2)


@pytest.mark.parametrize("distance", [-1, 32, "4", None, True, 4.0])
def test_a_distance_that_is_none_is_not_drawn(distance: object) -> None:
    """A damaged event would be drawn as a match."""
    assert scale_of({"distance": distance}, TEXTS) is None


def test_a_score_stands_beside_its_threshold_and_model() -> None:
    """A moderator would see a figure without knowing what it is worth."""
    condition = {
        "when": 'score("open-nsfw/nsfw") >= 0.8 && signal("viewer-reports") >= 3.0',
        "thresholds": [
            {"of": "score", "name": "open-nsfw/nsfw", "operator": ">=", "value": 0.8},
            {"of": "signal", "name": "viewer-reports", "operator": ">=", "value": 3.0},
        ],
        "persistence": {"hits": 2, "within_seconds": 30},
    }
    versions = {"policy": "2", "lists": {}, "models": {"open-nsfw": "1.0"}}
    found = record(
        scores={"open-nsfw/nsfw": 0.91, "safety/b": 0.2},
        condition=condition,
        versions=versions,
        signals={"viewer-reports": 5},
        matches=[MATCH],
    )
    reason = reason_of(found, NOW_MS, TEXTS)
    assert (reason.kind, reason.title) == ("score", "open-nsfw/nsfw: score 0.91, threshold 0.80")
    assert "The rule asks for 2 within 30 s." in reason.text
    assert facts(reason)["open-nsfw/nsfw"] == "0.91, threshold >= 0.8, version 1.0"
    assert facts(reason)["signal viewer-reports"] == "5, threshold >= 3"
    # It matches a list too, which this rule did not ask for.
    assert [row.list for row in reason.matches] == ["ncmec"]


def test_a_gap_a_report_and_a_flood_have_their_words() -> None:
    """A moderator would look for a picture where there is none, or would not call the police."""
    gap = reason_of(
        record(gap={"since": "2026-11-27T16:09:00.000Z", "reason": "http_503"}, condition={"after_seconds": 60}),
        NOW_MS,
        TEXTS,
    )
    assert gap.text.startswith("Not seen for 1 min, since 16:09:00")
    assert facts(gap) == {"Reason": "http_503", "The rule asks": "1 min without a picture"}
    signal = reason_of(
        record(signal={"name": "imminent-danger", "reported": "2026-11-27T16:09:00.000Z"}, ask="phone"), NOW_MS, TEXTS
    )
    assert signal.notices[0].startswith("Call the platform’s emergency contact or the police before anything else")
    flood = reason_of(
        record(
            streams=["a", "b"],
            streams_total=12,
            matches=[MATCH],
            condition={"streams": 10, "within_seconds": 600},
        ),
        NOW_MS,
        TEXTS,
    )
    assert flood.title == "One listed picture on 12 streams"
    assert (flood.streams, flood.streams_more) == (("a", "b"), 10)
    assert facts(flood)["The rule asks"] == "10 streams within 10 min"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"hits": 1, "within_seconds": 10}, "The rule asks for one."),
        ({"hits": 3, "of_samples": 5}, "The rule asks for 3 of 5 pictures in a row."),
        ({"video_frames": 3, "within_seconds": 60}, "The rule asks for 3 frames of one listed video within 1 min."),
        ({}, "Held for 4 pictures in 38 s."),
    ],
)
def test_persistence_is_said_as_the_rule_asks_it(asked: dict[str, Any], words: str) -> None:
    """A moderator would not see whether one picture was enough."""
    found = record(matches=[MATCH], condition={"when": "matches", "persistence": asked})
    assert words in reason_of(found, NOW_MS, TEXTS).text


def test_what_changes_a_finding_is_said() -> None:
    """A match of yesterday, one that a lead allowed, or a check that failed would read like any other."""
    found = record(
        matches=[{**MATCH, "allowed": True, "variant": "mirror", "tags": ["x"]}, {**MATCH, "list": "iwf"}],
        evidence_none="lookback",
        degraded=["model-slow"],
    )
    reason = reason_of(found, NOW_MS, TEXTS)
    assert reason.title.endswith("allowed by a lead")
    assert reason.notices[0].startswith("A look-back found it")
    assert reason.notices[1] == "Did not work when this was found: model-slow."
    assert facts(reason)["Matched"] == "mirrored"
    assert [(row.list, row.details) for row in reason.matches] == [("iwf", "as good as equal, A2, as the list says")]


def test_an_event_of_a_newer_version_is_shown_as_far_as_it_is_known() -> None:
    """After an upgrade of the workers alone, moderators would see nothing, or not that something is missing."""
    found = record(matches=[MATCH], ask="sing")
    found["event"]["type"] = "livewarden.escalation.raised.v2"
    reason = reason_of(found, NOW_MS, TEXTS)
    assert reason.title == "On list ncmec, at distance 4 of 31"
    assert reason.notices == (
        "A newer version asks for something that this page does not know: sing.",
        "A newer version wrote this (livewarden.escalation.raised.v2): what it says beyond this page is not shown.",
    )


def test_an_unreadable_event_leaves_the_rest() -> None:
    """One damaged record would keep a whole case from being judged."""
    reason = reason_of({**record(), "event": None, "severity": "urgent\u202e"}, NOW_MS, TEXTS)
    assert (reason.kind, reason.title) == ("unreadable", "Rule the-rule held")
    assert (reason.severity, reason.severity_word) == ("", "urgent\N{REPLACEMENT CHARACTER}")


JUNK: list[Any] = [None, 7, "x", [], {}, [None, 1, {}], {"a": None}, True, 10**400, float("nan")]


@pytest.mark.parametrize("junk", JUNK, ids=[str(number) for number in range(len(JUNK))])
@pytest.mark.parametrize(
    "name", ["matches", "scores", "condition", "times", "versions", "gap", "signal", "streams", "degraded", "hits"]
)
def test_no_field_of_an_event_breaks_its_words(name: str, junk: Any) -> None:
    """One foreign event would take the page from everybody."""
    for base in ({}, {"matches": [MATCH]}, {"scores": {"m/n": 0.9}}):
        assert reason_of(record(**{**base, name: junk}), NOW_MS, TEXTS).title


def test_hostile_texts_are_bounded_and_cannot_turn_the_page_around() -> None:
    """A list's name could reverse what stands beside it, or fill the page."""
    found = record(matches=[{**MATCH, "list": "a\u202eb\nc", "category": "x" * 10_000}])
    reason = reason_of(found, NOW_MS, TEXTS)
    assert "\u202e" not in reason.title
    assert len(facts(reason)["Class"]) < 600


def test_an_ended_and_a_decided_incident_say_so() -> None:
    """A moderator would judge again what a colleague has decided."""
    ended = {**record(matches=[MATCH]), "ended": "2026-11-27T16:09:00.000Z", "end_reason": "stream-ended"}
    assert reason_of(ended, NOW_MS, TEXTS).state == "Ended 16:09:00: its stream ended. It can be decided all the same."
    decided = {
        **record(matches=[MATCH]),
        "state": "decided",
        "decisions": [{"outcome": "harmless", "decided_by": "noor", "decided": "2026-11-26T16:09:00.000Z"}],
    }
    assert reason_of(decided, NOW_MS, TEXTS).state == "Decided: harmless, by noor, 26 Nov 16:09."
