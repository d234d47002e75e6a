"""Server-sent events: a response that lasts, in the text that browsers and htmx read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, suppress
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STALLED_SECONDS: Final = 30.0
"""Time for which a client may take nothing before it is cut off: its page comes back by itself, if it is there."""


def event_text(data: str, *, event: str = "", number: int | None = None) -> bytes:
    """One event. Without a name htmx swaps its data into the page; with one, scripts hear of it."""
    lines = [f"event: {event}"] if event else []
    lines += [] if number is None else [f"id: {number}"]
    # Any line break begins another line of the stream: foreign text may have some.
    lines += [f"data: {line}" for line in data.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return ("\n".join(lines) + "\n\n").encode(errors="replace")


class EventStream(Response):
    """A response that sends events as they come, until they end or its client is gone."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], *, counted: AbstractContextManager[None]) -> None:
        """`counted`: entered before anything is sent, so that it may refuse, and left at the end."""
        # nginx would keep events until its buffer is full.
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._counted = counted

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Sends them.

        Raises:
            TimeoutError: the client takes nothing; the server closes its connection then.
        """
        with self._counted:
            await self._serve(receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.ensure_future(self._send_all(send))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await leaving
        with suppress(asyncio.CancelledError):
            await sending

    async def _send_all(self, send: Send) -> None:
        try:
            async for event in self._events:
                async with asyncio.timeout(STALLED_SECONDS):
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            close = getattr(self._events, "aclose", None)
            if close is not None:
                await close()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
