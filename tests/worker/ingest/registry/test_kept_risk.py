"""The risk of a stream as the registry keeps it: the times of signals, the highest scores, the decided incidents."""

import json
from collections.abc import Callable, Iterable

import pytest
from redis import Redis
from scene import Scene

from config.policy.policy import load_policy
from config.policy.risk_settings import DEFAULT_RISK, RiskSettings
from worker.incidents.commit import settle
from worker.ingest.registry.kept_risk import decided_field, risk_key, risk_of, score_fields, signal_fields
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import signals_key, stream_key, watch
from worker.ingest.registry.signals import report_signals, stream_facts
from worker.ingest.status import stream_status
from worker.store.redis_client import now_ms

HOUR_MS = 3_600_000


@pytest.fixture
def watched(redis: Redis) -> Callable[..., str]:
    def add(stream_id: str = "s", *, risk_prior: float = 0.0, purpose: str = "live", url: str = "a") -> str:
        url = f"https://cdn.example/{url}.m3u8"
        asked = register(stream_id, url, risk_prior=risk_prior, purpose=purpose, url_template="", legal_basis="")
        watch(redis, asked)
        return stream_id

    return add


def let_pass(redis: Redis, stream_id: str, ms: int) -> None:
    """Dates the stream's signals and scores as if so much time had passed."""
    times = json.loads(redis.hget(stream_key(stream_id), "signal_times") or "{}")
    redis.hset(
        stream_key(stream_id), "signal_times", json.dumps({name: str(int(at) - ms) for name, at in times.items()})
    )
    for field, text in redis.hgetall(risk_key(stream_id)).items():
        value, at_ms = text.split(" ")
        redis.hset(risk_key(stream_id), field, f"{value} {int(at_ms) - ms}")


def seen(redis: Redis, stream_id: str, *scores: float, at_ms: int | None = None, purpose: str = "live") -> None:
    """Settles a segment with those scores, as the worker does."""
    redis.hset(f"lw:pending:{stream_id}", "k", "{}")
    scene = Scene(redis=redis, policy=load_policy())
    settle(
        redis,
        context=scene.context(stream_id, "k", purpose),
        hits=(),
        policy=scene.policy,
        coverage_increments={},
        stream_fields=score_fields(
            [{"open-nsfw/nsfw": score, "m/other": 1.0} for score in scores],
            purpose=purpose,
            now_ms=now_ms(redis) if at_ms is None else at_ms,
            settings=DEFAULT_RISK,
        ),
    )


def test_each_report_of_a_signal_has_its_time(redis: Redis, watched: Callable[..., str]) -> None:
    """Viewers who reported an hour ago would count like those of now."""
    stream = watched()
    report_signals(redis, stream, {"viewer-reports": 5.0})
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.5, abs=0.001)
    let_pass(redis, stream, HOUR_MS)
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.125, abs=0.001)
    report_signals(redis, stream, {"chat-risk": 0.0})
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.125, abs=0.001), "another signal renews none"
    report_signals(redis, stream, {"viewer-reports": 5.0})
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.5, abs=0.001)


def test_signals_of_an_older_version_decay_from_when_they_are_first_seen(
    redis: Redis, watched: Callable[..., str]
) -> None:
    """After an upgrade a report of long ago would count like new for as long as the stream is watched."""
    stream = watched()
    redis.hset(signals_key(stream), mapping={"viewer-reports": "5.0", "odd": "x"})
    assert risk_of(redis, stream, DEFAULT_RISK) == 0.5
    assert stream_facts(redis, stream).signals == {"viewer-reports": 5.0}
    let_pass(redis, stream, HOUR_MS)
    assert stream_facts(redis, stream).risk == pytest.approx(0.125, abs=0.001)
    redis.delete(stream_key(stream))
    stream_facts(redis, stream)
    assert not redis.exists(stream_key(stream)), "an expired record stays away"


def test_a_new_watch_begins_without_the_old_ones_signals(redis: Redis, watched: Callable[..., str]) -> None:
    """A broadcaster would be called risky for what viewers said about another broadcast."""
    stream = watched()
    report_signals(redis, stream, {"viewer-reports": 5.0})
    watched(url="b")
    assert risk_of(redis, stream, DEFAULT_RISK) == 0.0
    assert redis.hget(stream_key(stream), "signal_times") is None


def test_the_highest_score_counts_and_decays(redis: Redis, watched: Callable[..., str]) -> None:
    """One low score after a high one, or a high one of an hour ago, would decide how closely a stream is watched."""
    stream = watched()
    seen(redis, stream, 0.2, 0.4)
    assert not redis.exists(risk_key(stream)), "benign streams write nothing"
    seen(redis, stream, 0.9, 0.1)
    seen(redis, stream, 0.6)
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.45, abs=0.001)
    assert redis.hkeys(risk_key(stream)) == ["score: live open-nsfw/nsfw"]
    assert redis.ttl(risk_key(stream)) > 80 * 24 * 3600
    assert not [field for field in redis.hkeys(stream_key(stream)) if field.startswith("score")]
    let_pass(redis, stream, HOUR_MS)
    seen(redis, stream, 0.6)
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.3, abs=0.001)


@pytest.mark.parametrize("first", [0, 1])
def test_segments_that_settle_in_another_order_leave_the_same_risk(
    redis: Redis, watched: Callable[..., str], first: int
) -> None:
    """The queue of a stream's segments would depend on which worker is slow."""
    stream, now = watched(), now_ms(redis)
    segments = [(0.9, now - HOUR_MS), (0.6, now)]
    for score, at_ms in (segments[first], segments[1 - first]):
        seen(redis, stream, score, at_ms=at_ms)
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.3, abs=0.001)


def test_a_score_from_before_the_clock_went_back_gives_way(redis: Redis, watched: Callable[..., str]) -> None:
    """A score dated a day ahead would hide all that come until then."""
    stream, now = watched(), now_ms(redis)
    seen(redis, stream, 0.6, at_ms=now + 24 * HOUR_MS)
    seen(redis, stream, 0.9)
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.45, abs=0.001)


def test_a_damaged_record_of_scores_keeps_no_segment_from_its_end(redis: Redis, watched: Callable[..., str]) -> None:
    """A foreign key would leave all segments of a stream pending."""
    stream = watched()
    redis.set(risk_key(stream), "foreign")
    seen(redis, stream, 0.9)
    assert not redis.exists(f"lw:pending:{stream}")
    redis.delete(risk_key(stream))
    redis.hset(risk_key(stream), mapping={"score: live open-nsfw/nsfw": "x y", decided_field("live", "i"): "csea"})
    assert risk_of(redis, stream, DEFAULT_RISK) == 0.0
    seen(redis, stream, 0.9)
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.45, abs=0.001)


def test_a_drills_scores_are_nothing_to_the_live_stream(redis: Redis, watched: Callable[..., str]) -> None:
    """A drill in the morning would make its stream urgent in the evening."""
    stream = watched(purpose="drill")
    seen(redis, stream, 1.0, purpose="drill")
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.5, abs=0.001)
    watched(purpose="live")
    assert risk_of(redis, stream, DEFAULT_RISK) == 0.0


def test_scores_that_are_no_numbers_are_left_out(redis: Redis) -> None:
    """A model's NaN would be a stream's risk for ever."""
    scores = [{"open-nsfw/nsfw": float("nan")}, {"open-nsfw/nsfw": float("inf")}]
    assert score_fields(scores, purpose="live", now_ms=1, settings=DEFAULT_RISK) == {}


def test_rules_and_risk_see_the_same(redis: Redis, watched: Callable[..., str]) -> None:
    """`streams show` would explain another risk than the one that chooses the sampling profile."""
    stream = watched(risk_prior=0.4)
    report_signals(redis, stream, {"viewer-reports": 5.0})
    settings = RiskSettings.model_validate({"signals": {"viewer-reports": {"weight": 1.0}}})
    assert stream_facts(redis, stream, risk=settings).risk == pytest.approx(1.0, abs=0.001)
    assert risk_of(redis, stream, settings) == pytest.approx(1.0, abs=0.001)
    assert stream_facts(redis, stream).risk == pytest.approx(0.7, abs=0.001)


def lost(redis: Redis, stream_id: str, purpose: str = "live", *, notes: Iterable[str] = (), **lost_ms: int) -> None:
    """Settles a segment of 4 s of which so much was lost, by reason."""
    redis.hset(f"lw:pending:{stream_id}", "k", "{}")
    scene = Scene(redis=redis, policy=load_policy())
    fields = signal_fields(
        lost_ms, segment_ms=4_000, purpose=purpose, now_ms=now_ms(redis), settings=DEFAULT_RISK, notes=notes
    )
    settle(
        redis,
        context=scene.context(stream_id, "k", purpose),
        hits=(),
        policy=scene.policy,
        coverage_increments={},
        stream_fields=fields,
    )


def test_time_over_the_budget_is_a_signal_of_the_stream(redis: Redis, watched: Callable[..., str]) -> None:
    """A broadcaster who makes his stream too dear to sample would look like any other."""
    stream = watched()
    lost(redis, stream, budget=1_000)
    assert stream_facts(redis, stream).signals == {"over-budget": pytest.approx(0.25, abs=0.001)}
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.5, abs=0.001)
    assert risk_of(redis, stream, DEFAULT_RISK) < DEFAULT_RISK.urgent_at, "a bigger budget is not for sale"
    (part,) = stream_status(redis, stream)["risk"]["parts"]
    assert (part["source"], part["name"], part["given"]) == ("signal", "over-budget", 0.25)
    assert stream_status(redis, stream)["signals"] == {"over-budget": 0.25}
    assert list(stream_status(redis, stream)["signals_reported"]) == ["over-budget"]


@pytest.mark.parametrize("unseen", [{"leading": 400}, {"concealed": 400}, {"leading": 100, "concealed": 300}])
def test_pictures_without_those_they_lean_on_are_a_signal_too(
    redis: Redis, watched: Callable[..., str], unseen: dict[str, int]
) -> None:
    """A server that withholds what they need would hide half a second in each segment at no price."""
    stream = watched()
    lost(redis, stream, **unseen, short=1_000, undecodable=500)
    assert stream_facts(redis, stream).signals == {"leading-unseen": pytest.approx(0.1, abs=0.001)}
    assert 0 < risk_of(redis, stream, DEFAULT_RISK) < 0.5


def test_subtitles_that_may_be_pictures_are_a_signal_without_risk(redis: Redis, watched: Callable[..., str]) -> None:
    """No rule could call a person to look at what is drawn over the video; or television would be urgent all day."""
    stream = watched()
    lost(redis, stream, notes=("cover_picture", "subtitle_pictures"))
    assert stream_facts(redis, stream).signals == {"subtitle-pictures": pytest.approx(1.0, abs=0.001)}
    assert stream_status(redis, stream)["signals"] == {"subtitle-pictures": 1.0}
    assert risk_of(redis, stream, DEFAULT_RISK) == 0


def test_padding_is_a_signal_that_makes_no_stream_urgent(redis: Redis, watched: Callable[..., str]) -> None:
    """Whoever pads a hundred streams would have them served before those that are urgent."""
    stream = watched()
    lost(redis, stream, notes=("padded",))
    assert stream_facts(redis, stream).signals == {"padded-pictures": pytest.approx(1.0, abs=0.001)}
    assert risk_of(redis, stream, DEFAULT_RISK) == pytest.approx(0.5, abs=0.001)
    assert risk_of(redis, stream, DEFAULT_RISK) < DEFAULT_RISK.urgent_at


def test_the_highest_of_late_counts_whatever_the_order(redis: Redis, watched: Callable[..., str]) -> None:
    """A segment within the budget would clear the one before, and rules differ by which worker was quicker."""
    stream = watched()
    lost(redis, stream, budget=2_000)
    lost(redis, stream, budget=400)
    lost(redis, stream)
    assert stream_facts(redis, stream).signals == {"over-budget": pytest.approx(0.5, abs=0.001)}
    let_pass(redis, stream, HOUR_MS)
    assert stream_facts(redis, stream).signals["over-budget"] < 0.02, "rules see it fade"
    assert risk_of(redis, stream, DEFAULT_RISK) < 0.02


def test_a_platform_cannot_take_it_back_and_a_drill_raises_none(redis: Redis, watched: Callable[..., str]) -> None:
    """One who can report signals could clear a stream; and a drill would make a live stream suspicious."""
    stream = watched()
    lost(redis, stream, budget=4_000)
    report_signals(redis, stream, {"over-budget": 0.0, "chat-risk": 0.1})
    assert stream_facts(redis, stream).signals == {"over-budget": pytest.approx(1.0, abs=0.001), "chat-risk": 0.1}
    other = watched("other", url="b")
    lost(redis, other, "drill", budget=4_000)
    assert stream_facts(redis, other).signals == {}


def test_a_damaged_record_of_it_is_left_out(redis: Redis, watched: Callable[..., str]) -> None:
    """One field in Redis would stop the stream's segments."""
    stream = watched()
    redis.hset(risk_key(stream), mapping={"signal: live over-budget": "x", "signal: live leading-unseen": "nan 7"})
    assert stream_facts(redis, stream).signals == {}
    assert stream_status(redis, stream)["signals"] == {}
