"""Streams of events: their text, and clients that leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest

from desk.errors import RequestRefusedError
from desk.live.open_streams import MOST_OF_PERSON, OpenStreams
from desk.web.event_stream import EventStream, event_text


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a", b"data: a\n\n"),
        ("a\nb", b"data: a\ndata: b\n\n"),
        ("a\r\nb\rc", b"data: a\ndata: b\ndata: c\n\n"),
        ("x\n\nevent: signed-out", b"data: x\ndata: \ndata: event: signed-out\n\n"),
        ("\udcff", b"data: ?\n\n"),
    ],
)
def test_foreign_text_ends_no_event(data: str, expected: bytes) -> None:
    """A stream's name with line breaks in it could send events of its own to every page."""
    assert event_text(data) == expected


def test_an_event_has_its_name_and_number() -> None:
    """The page would swap rows into the place of counters."""
    assert event_text("a", event="rows", number=7) == b"event: rows\nid: 7\ndata: a\n\n"


def test_a_client_that_leaves_ends_its_stream() -> None:
    """Every page that was ever open would be rendered until the desk is restarted."""
    ended = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"data: 1\n\n"
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    sent = []

    async def talk() -> None:
        left = asyncio.Event()

        async def send(message: dict[str, object]) -> None:
            sent.append(message)
            if message.get("body"):
                left.set()

        async def receive() -> dict[str, object]:
            await left.wait()
            return {"type": "http.disconnect"}

        await EventStream(endless(), counted=nullcontext())({"type": "http"}, receive, send)

    asyncio.run(asyncio.wait_for(talk(), 10))
    assert ended == [True]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_a_failing_stream_is_an_error() -> None:
    """A bug would look like a client that left."""

    async def failing() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        raise ValueError("a bug")

    async def send(_message: object) -> None: ...

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    async def talk() -> None:
        await EventStream(failing(), counted=nullcontext())({"type": "http"}, receive, send)

    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(asyncio.wait_for(talk(), 10))


def test_a_stream_counts_before_it_has_sent_anything() -> None:
    """Hundreds that are opened at once, while the desk is busy, would all find room."""
    streams = OpenStreams()

    async def silent() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def send(_message: object) -> None: ...

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    async def serve() -> None:
        await EventStream(silent(), counted=streams.opened("kim"))({"type": "http"}, receive, send)

    async def talk() -> None:
        serving = [asyncio.create_task(serve()) for _ in range(MOST_OF_PERSON)]
        await asyncio.sleep(0)
        with pytest.raises(RequestRefusedError):
            await serve()
        for one in serving:
            one.cancel()
        await asyncio.wait(serving)
        with streams.opened("kim"):
            pass

    asyncio.run(asyncio.wait_for(talk(), 10))
