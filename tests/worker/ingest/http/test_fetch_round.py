"""Rounds of fetches whose answers are processed one by one."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

import pytest
from hls_origin import LiveOrigin

from worker.errors import FetchError
from worker.ingest.http.fetch import Fetched, Fetcher, FetchRequest
from worker.ingest.http.origins import Address, AllowedOrigins


async def resolve(host: str, port: int) -> Sequence[Address]:
    """One name breaks the resolver; the others are this machine."""
    if host == "broken.example":
        raise RuntimeError("a bug")
    return [IPv4Address("127.0.0.1")]


@pytest.fixture
def fetcher(origin: LiveOrigin) -> Iterator[Fetcher]:
    fetcher = Fetcher(
        AllowedOrigins.parse([f"127.0.0.0/8:{origin.port}", f"broken.example:{origin.port}"]), resolve=resolve
    )
    yield fetcher
    fetcher.close()


def request(url: str) -> FetchRequest:
    return FetchRequest(url=url, max_bytes=1_000, timeout_seconds=30)


def test_answers_arrive_in_order_of_completion(fetcher: Fetcher, origin: LiveOrigin):
    """Every stream would wait for the slowest origin."""
    origin.add("slow.ts", b"slow")
    origin.add("quick.ts", b"quick")
    gate = origin.hold("slow.ts")
    with fetcher.begin_round(most=2) as fetches:
        fetches.ask("slow", request(f"http://{origin.host}/live/slow.ts"))
        assert gate.reached.wait(60)
        assert fetches.answer(within_seconds=0) is None
        fetches.ask("quick", request(f"http://{origin.host}/live/quick.ts"))
        name, answer = fetches.answer(within_seconds=60) or ("", None)
        assert name == "quick"
        assert isinstance(answer, Fetched)
        assert answer.body == b"quick"
        gate.opened.set()
        assert (fetches.answer(within_seconds=60) or ("",))[0] == "slow"


@pytest.mark.expected_errors("broken.example.*RuntimeError")
def test_an_exception_of_one_fetch_is_its_own_result(fetcher: Fetcher, origin: LiveOrigin):
    """A fault in one fetch would end the whole round."""
    with fetcher.begin_round(most=4) as fetches:
        fetches.ask("broken", request(f"http://broken.example:{origin.port}/"))
        fetches.ask("gone", request(f"http://{origin.host}/live/none.ts"))
        answers = dict(fetches.answer(within_seconds=60) or ("", FetchError("none", "none")) for _ in range(2))
    assert isinstance(answers["broken"], FetchError)
    assert answers["broken"].reason == "internal"
    assert isinstance(answers["gone"], FetchError)
    assert answers["gone"].reason == "http_404"


def test_remaining_fetches_are_cancelled(fetcher: Fetcher, origin: LiveOrigin):
    """Connections to slow origins would pile up with each round."""
    origin.add("slow.ts", b"x")
    gate = origin.hold("slow.ts")
    with fetcher.begin_round(most=1) as fetches:
        for number in range(300):
            fetches.ask(f"{number}", request(f"http://{origin.host}/live/slow.ts"))
        assert gate.reached.wait(60)
    with fetcher.begin_round(most=1) as after:
        after.ask("index", request(origin.url))
        assert (after.answer(within_seconds=60) or ("",))[0] == "index"
    assert origin.requests.count("GET /live/slow.ts") == 1
    assert fetches.answer(within_seconds=0) is None


def test_an_answer_to_an_earlier_request_is_not_taken_for_a_later_one(fetcher: Fetcher, origin: LiveOrigin):
    """A stream whose URL changes while it is polled would be judged by the answer of its old URL."""
    origin.add("old.ts", b"old")
    origin.add("new.ts", b"new")
    gate = origin.hold("fence.ts")
    origin.add("fence.ts", b"fence")
    with fetcher.begin_round(most=1) as fetches:
        fetches.ask("s", request(f"http://{origin.host}/live/old.ts"))
        # One at a time: when this request starts, the first has its answer.
        fetches.ask("fence", request(f"http://{origin.host}/live/fence.ts"))
        assert gate.reached.wait(60)
        fetches.ask("s", request(f"http://{origin.host}/live/new.ts"))
        gate.opened.set()
        answers = [fetches.answer(within_seconds=60) or ("", None) for _ in range(2)]
        assert fetches.answer(within_seconds=0) is None
    bodies = {name: answer.body for name, answer in answers if isinstance(answer, Fetched)}
    assert bodies == {"fence": b"fence", "s": b"new"}
