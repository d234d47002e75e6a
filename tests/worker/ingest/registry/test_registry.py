"""The registry, where platforms' input arrives."""

import json
from collections.abc import Callable

import pytest
from listening_client import listening
from redis import Redis

from config.schemas import check_event
from worker.errors import RegistryError
from worker.ingest.registry.changes import Author
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, stream_ids, unwatch, watch
from worker.ingest.registry.signals import check_signals
from worker.ingest.status import stream_status

URL = "https://cdn.example/a.m3u8"


def ask(stream_id: object = "s1", url: object = URL, **changes: object):
    return register(stream_id, url, **{"url_template": "", "legal_basis": ""} | changes)


@pytest.mark.parametrize("stream_id", ["", "a b", "a/b", "ä", "x" * 201, None, 7, "a\n"])
def test_refuses_ids_that_could_break_a_url_or_a_key(stream_id: object):
    """A stream ID with a slash or a space would reach another stream's playlist or key."""
    with pytest.raises(RegistryError, match="stream_id"):
        ask(stream_id)


def test_a_numeric_id_is_refused_as_a_number():
    """An engineer who sends 4711 would read that '4711' is refused for its characters, which are allowed."""
    with pytest.raises(RegistryError, match=r"^stream_id: int: expected a text of 1 to 200 characters"):
        ask(4711)


@pytest.mark.parametrize(
    "url", ["ftp://x/a", "file:///etc/passwd", "http://", "https://a b", "x" * 5000, 7, "http://x:0/", "http://[x/"]
)
def test_refuses_urls_that_are_not_http(url: object):
    """A bad URL would be reported only at the first poll."""
    with pytest.raises(RegistryError, match="url"):
        ask(url=url)


def test_a_url_with_a_space_is_refused_for_the_space():
    """A platform engineer would read that the URL is too long, which it is not."""
    with pytest.raises(RegistryError, match="spaces and control characters percent-encoded"):
        ask(url="https://cdn.example/a b.m3u8")


@pytest.mark.parametrize(
    ("signals", "problem"), [({}, "signals: expected at least one"), ([1], "signals: expected an object .* got list")]
)
def test_refused_signals_name_what_is_missing(signals: object, problem: str):
    """A platform engineer would read that an object was expected, and an object came."""
    with pytest.raises(RegistryError, match=problem):
        check_signals(signals)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("purpose", "fun"),
        ("audience", "all"),
        ("risk_prior", 1.1),
        ("risk_prior", "high"),
        ("risk_prior", float("nan")),
        ("risk_prior", True),
        ("metadata", [1]),
        ("metadata", {"x": "y" * 20_000}),
        ("metadata", {"x": {"y": [[1] * 1_000, [2] * 1_000]}}),
        ("metadata", {"x": float("inf")}),
    ],
)
def test_names_the_invalid_field(field: str, value: object):
    """A platform engineer would not know which field to correct."""
    with pytest.raises(RegistryError, match=field):
        ask(**{field: value})


def test_private_streams_need_a_legal_basis():
    """Private streams would be watched because somebody forgot about the legal basis."""
    with pytest.raises(RegistryError, match="LIVEWARDEN_LEGAL_BASIS"):
        ask(audience="private")
    assert ask(audience="private", legal_basis="Art. 6").audience == "private"


def test_fills_the_template_percent_encoded():
    """An ID with a colon would lead to the wrong playlist."""
    asked = ask("a:b", None, url_template="https://cdn.example/{stream_id}/index.m3u8")
    assert asked.url == "https://cdn.example/a%3Ab/index.m3u8"
    with pytest.raises(RegistryError, match="LIVEWARDEN_URL_TEMPLATE"):
        ask("a", None)


def test_watching_twice_continues_and_watching_again_starts_anew(redis: Redis):
    """A platform that repeats its call would have its stream moderated twice; or a new broadcast would not be
    moderated."""
    first = watch(redis, ask())
    assert watch(redis, ask(risk_prior=0.5)) == first
    assert stream_status(redis, "s1")["risk_prior"] == 0.5
    assert watch(redis, ask(url=URL + "?other")) == first + 1
    assert unwatch(redis, "s1")
    assert stream_status(redis, "s1")["state"] == "removed"
    assert redis.zcard(DUE) == 0
    assert watch(redis, ask(url=URL + "?other")) == first + 2
    assert stream_ids(redis) == ["s1"]
    assert stream_status(redis, "s1")["state"] == "waiting"
    assert redis.ttl("lw:stream:s1") == -1


def test_another_purpose_is_another_watch(redis: Redis):
    """Open incidents and pending segments of a canary would absorb findings of the later live stream, and call
    nobody."""
    first = watch(redis, ask(purpose="canary"))
    redis.hset("lw:stream:s1", "cursor", "{}")
    assert watch(redis, ask(purpose="canary")) == first
    assert redis.hexists("lw:stream:s1", "cursor")
    second = watch(redis, ask())
    assert second > first
    assert not redis.hexists("lw:stream:s1", "cursor")
    assert watch(redis, ask()) == second


def test_unknown_streams_are_reported_as_unknown(redis: Redis):
    """A typo in an ID would look like a stream without findings."""
    assert not unwatch(redis, "nobody")
    with pytest.raises(RegistryError, match="nobody"):
        stream_status(redis, "nobody")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("risk_prior", 10**400),
        ("metadata", {"a": json.loads("[" * 400 + "]" * 400)}),
        ("metadata", {"a": "\ud800"}),
        ("url", "https://cdn.example/\ud800"),
    ],
)
def test_refuses_values_that_cannot_be_stored(field: str, value: object):
    """A number beyond all floats, invalid Unicode or metadata a thousand levels deep would fail in the middle of a
    segment, or in the thread that reads platforms' messages."""
    with pytest.raises(RegistryError, match=field):
        ask(**{field: value})


def test_a_refusal_shows_no_password():
    """The text is logged, and readers of logs could get at the platform's origin."""
    for url in ("ftp://me:SECRET@cdn.example/a?token=SECRET", "me:SECRET@cdn.example", "http://me:SECRET@[x/a#SECRET"):
        with pytest.raises(RegistryError, match="url") as refused:
            ask(url=url)
        assert "SECRET" not in str(refused.value)


def interrupted(url: str, meanwhile: list[Callable[[], object]]) -> Redis:
    """A client that runs something else before its first script."""

    def sends(command: bytes) -> None:
        if meanwhile and b"lw:once:" in command:
            meanwhile.pop()()

    return listening(url, sends)


class TestPublishedChanges:
    """Changes of a watched stream, published on `lw:operations`."""

    @pytest.fixture
    def told(self, redis: Redis):
        return lambda: [json.loads(fields["event"]) for _, fields in redis.xrange("lw:operations")]

    def test_another_purpose(self, redis: Redis, told):
        """A live stream that becomes a drill calls nobody any more: the change and its author would go unseen."""
        generation = watch(redis, ask())
        assert told() == []
        watch(redis, ask(purpose="drill"), author=Author(deployment="d", by="intake"))
        (event,) = told()
        check_event(event)
        assert (event["type"], event["subject"], event["source"]) == (
            "livewarden.operations.stream_changed.v1",
            "s1",
            "/livewarden/d",
        )
        assert event["data"] == {
            "stream_id": "s1",
            "generation": generation,
            "changed": ["purpose"],
            "old": {"url": URL, "purpose": "live"},
            "new": {"url": URL, "purpose": "drill"},
            "by": "intake",
        }

    def test_another_url_without_its_secrets(self, redis: Redis, told):
        """A stream redirected to a harmless playlist would go unseen, or its token would be published."""
        watch(redis, ask(url="https://cdn.example/a?token=SECRET"))
        watch(redis, ask(url="https://cdn.example/b?token=SECRET"))
        watch(redis, ask(url="https://cdn.example/b?token=SECRET2"))
        data = [event["data"] for event in told()]
        assert [one["changed"] for one in data] == [["url"], ["query"]]
        assert (data[0]["old"]["url"], data[0]["new"]["url"]) == ("https://cdn.example/a", "https://cdn.example/b")
        assert "SECRET" not in json.dumps(told())

    def test_an_unwatch(self, redis: Redis, told):
        """Ending the watch of a live stream would go unseen; or each watch that is already over would be reported."""
        watch(redis, ask())
        unwatch(redis, "s1")
        unwatch(redis, "s1")
        (event,) = told()
        assert (event["data"]["changed"], event["data"]["new"]) == (["unwatched"], None)

    def test_a_concurrent_change_by_another(self, redis: Redis, redis_url: str, told):
        """Making a stream a drill would go unseen if somebody changes its URL at the same time."""
        watch(redis, ask())
        meanwhile = [lambda: watch(redis, ask(purpose="drill"))]
        watch(interrupted(redis_url, meanwhile), ask(url=URL + "2"))
        first, second = [event["data"] for event in told()]
        assert (first["changed"], first["new"]["purpose"]) == (["purpose"], "drill")
        assert (second["changed"], second["old"]["purpose"]) == (["url", "purpose"], "drill")
        assert second["new"] == {"url": URL + "2", "purpose": "live"}

    def test_an_unwatch_of_a_stream_just_registered_by_another(self, redis: Redis, redis_url: str, told):
        """The watch of a live stream could end unseen."""
        meanwhile = [lambda: watch(redis, ask())]
        assert unwatch(interrupted(redis_url, meanwhile), "s1")
        (event,) = told()
        assert event["data"]["changed"] == ["unwatched"]

    def test_nothing_for_new_and_ended_streams(self, redis: Redis, told):
        """Each broadcast that begins would be reported to operators."""
        watch(redis, ask())
        redis.hset("lw:stream:s1", "state", "ended")
        watch(redis, ask(url=URL + "2"))
        watch(redis, ask(url=URL + "2", risk_prior=0.3))
        assert told() == []


def test_a_repeated_call_does_nothing_and_returns_the_same(redis: Redis):
    """A client repeats a call whose answer was lost: it would undo another's call made in between."""
    first = watch(redis, ask(), token="a")
    assert unwatch(redis, "s1", token="b")
    assert watch(redis, ask(purpose="drill"), token="c") == first + 1
    assert watch(redis, ask(), token="a") == first
    assert unwatch(redis, "s1", token="b")
    assert (stream_status(redis, "s1")["generation"], stream_status(redis, "s1")["purpose"]) == (first + 1, "drill")
    assert redis.xlen("lw:operations") == 1
    assert all(redis.ttl(key) > 0 for key in redis.scan_iter("lw:once:*"))
