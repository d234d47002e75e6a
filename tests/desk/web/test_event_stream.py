"""Streams of events: their text, and clients that leave."""

import asyncio
from collections.abc import AsyncIterator

import pytest

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

        await EventStream(endless())({"type": "http"}, receive, send)

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
        await EventStream(failing())({"type": "http"}, receive, send)

    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(asyncio.wait_for(talk(), 10))
