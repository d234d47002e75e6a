"""The stream of a case, in words and from a real Valkey."""

from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError
from scene import Scene

from desk.cases.case_view import read_case
from desk.cases.head_words import head_of
from desk.cases.stream_view import EarlierCase, StreamView, read_stream
from desk.cases.stream_words import MOST_METADATA, stream_words
from desk.texts.catalogue import load_texts
from worker.incidents.due_ends import end_incidents
from worker.incidents.keys import ENDS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.open_cases import read_open_cases

TEXTS = load_texts()
NOW_MS = 1_795_795_800_000


def view(**values: Any) -> StreamView:
    fields: dict[str, Any] = {
        "stream_id": "cam-1",
        "state": "live",
        "on_air_seconds": 231.0,
        "record": {},
        "readable": True,
        "metadata": {},
        "earlier": (),
    }
    return StreamView(**{**fields, **values})


def case_of(scene: Scene, incident: str) -> str:
    return str(scene.redis.hget(f"lw:incident:{incident}", "case"))


def test_a_stream_is_read_as_streams_show_reads_it(scene: Scene) -> None:
    """The desk and the command line would tell different things of one stream."""
    registration = register(
        "cam-1",
        "https://origin.test/live.m3u8",
        purpose="live",
        url_template="",
        legal_basis="",
        risk_prior=0.5,
        metadata={"title": "sunday stream", "room": {"name": "blue"}},
    )
    watch(scene.redis, registration)
    scene.redis.hset("lw:signals:cam-1", "viewer-reports", "3")
    case = read_case(scene.redis, case_of(scene, scene.raise_incident("cam-1")))
    found = stream_words(read_stream(scene.redis, case, policy_file=None), case.now_ms, TEXTS)
    assert found.title == "sunday stream"
    assert found.signals[0].startswith("viewer-reports 3")
    assert [(one.name, one.value) for one in found.metadata] == [("room", '{"name": "blue"}')]
    assert found.parts[0].name == "Platform’s prior"
    assert float(found.risk) > 0.5


def test_what_the_risk_adds_up_to_is_its_bar() -> None:
    """The bar would show more risk, or less, than the figure beside it."""
    parts = [
        {"source": "prior", "name": "risk_prior", "given": 0.5, "part": 0.5, "half_life_seconds": None},
        {"source": "signal", "name": "viewer-reports", "given": 3, "part": 0.3, "half_life_seconds": 1800},
        {"source": "decision", "name": "b8f6", "given": "adult_tos", "part": 0.2, "half_life_seconds": 604_800},
    ]
    found = stream_words(view(record={"risk": {"value": 0.72, "parts": parts}}), NOW_MS, TEXTS)
    assert sum(one.width for one in found.parts) == pytest.approx(72)
    assert [one.name for one in found.parts] == [
        "Platform’s prior",
        "viewer-reports 3",
        "Earlier case, adult, against terms",
    ]
    assert [one.fades for one in found.parts] == ["as registered", "halves in 30 min", "halves in 7 days"]


def test_earlier_decisions_lead_to_their_cases(scene: Scene) -> None:
    """A moderator would not see that the same person was on this stream before."""
    first = scene.raise_incident("cam-1")
    assert take(scene.redis, "noor") is not None
    decide_incident(scene.redis, first, "harmless", by="noor", note="a toy", deployment="test")
    scene.redis.delete("lw:incidents:cam-1")
    second = scene.raise_incident("cam-1", capture_ms=10_000_000)
    case = read_case(scene.redis, case_of(scene, second))
    records = [dict(one) for one in case.records if one["incident_id"] == second]
    named = {"incident_id": first, "rule": "known", "outcome": "harmless", "decided": "2026-11-27T16:00:00.000Z"}
    records[0]["event"]["data"]["earlier_decisions"] = [named, {"incident_id": "0" * 24, "rule": "x"}, "junk"]
    changed = type(case)(case_id=case.case_id, records=tuple(records), now_ms=case.now_ms)
    found = read_stream(scene.redis, changed, policy_file=None).earlier
    assert found[0] == EarlierCase(
        case_id=case_of(scene, first), rule="known", outcome="harmless", decided_ms=found[0].decided_ms
    )
    assert found[1].case_id == ""


def test_a_stream_that_is_not_on_record_any_more_is_told_by_its_event(scene: Scene) -> None:
    """A case of last month would be a page of errors."""
    case = read_case(scene.redis, case_of(scene, scene.raise_incident("gone")))
    found = stream_words(read_stream(scene.redis, case, policy_file=Path("/nowhere/policy.yaml")), case.now_ms, TEXTS)
    assert found.notices == ("The stream’s record has expired; this page has what the event says of it.",)
    assert [(one.name, one.value) for one in found.metadata] == [("room", "blue")]
    assert found.risk == ""


def test_a_stream_whose_record_is_gone_is_as_live_as_in_the_queue(scene: Scene, redis: Redis) -> None:
    """The queue would say "Live now" of a case, put it in front for that, and its page "not live"."""
    case_id = case_of(scene, scene.raise_incident("gone"))

    def said() -> tuple[bool, str, str, str]:
        (queued,) = read_open_cases(redis)[0]
        case = read_case(redis, case_id)
        stream = read_stream(redis, case, policy_file=None)
        head = head_of(case, stream, TEXTS)
        return queued.live, head.state[:5].strip(), head.title, stream_words(stream, case.now_ms, TEXTS).on_air

    assert said() == (True, "Live", "Known material on a live stream", "not known")
    redis.zadd(ENDS, {"gone": 0})
    assert end_incidents(redis, deployment="test") == 1
    assert said() == (False, "Ended", "Known material on a stream that is not live", "not watched any more")


def test_a_stream_that_may_not_be_read_is_said(scene: Scene, redis: Redis) -> None:
    """With an older Redis user the whole page would fail."""
    case = read_case(scene.redis, case_of(scene, scene.raise_incident("cam-1")))
    redis.execute_command(
        "ACL", "SETUSER", "narrow", "on", "nopass", "+@all", "resetkeys", "~lw:incident:*", "~lw:case:*", "~lw:people"
    )
    pool = redis.connection_pool
    options = {**pool.connection_kwargs, "username": "narrow", "password": "x"}
    with Redis.from_pool(type(pool)(**options)) as narrow:
        with pytest.raises(NoPermissionError):
            narrow.hgetall("lw:stream:cam-1")
        found = read_stream(narrow, case, policy_file=None)
    assert not found.readable
    assert stream_words(found, case.now_ms, TEXTS).notices[0].startswith("The stream’s record cannot be read")


def test_metadata_is_bounded_and_shown_as_it_was_sent() -> None:
    """A broadcaster could fill the page, or turn what stands beside it around."""
    hostile: dict[str, Any] = {f"k{number}": "v" for number in range(100)}
    found = stream_words(
        view(metadata={"Title": "<b>\u202ehello", "none": None, "empty": "", **hostile}), NOW_MS, TEXTS
    )
    assert found.title == "<b>\N{REPLACEMENT CHARACTER}hello"
    assert (len(found.metadata), found.metadata_more) == (MOST_METADATA, 100 - MOST_METADATA)


JUNK: list[Any] = [None, 7, "x", [], {}, [None, 1], {"a": None}, True, float("inf")]


@pytest.mark.parametrize("junk", JUNK, ids=[str(number) for number in range(len(JUNK))])
@pytest.mark.parametrize("name", ["risk", "signals", "signals_reported", "state", "elapsed_seconds", "unwatched_since"])
def test_no_field_of_a_record_breaks_its_words(name: str, junk: Any) -> None:
    """One damaged record would take the page from its moderators."""
    assert stream_words(view(record={name: junk}), NOW_MS, TEXTS).stream_id == "cam-1"
    risk = {"value": 0.5, "parts": [{"part": junk, "given": junk, "name": junk, "source": junk}]}
    assert stream_words(view(record={"risk": risk}), NOW_MS, TEXTS).risk == "0.50"
