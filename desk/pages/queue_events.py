"""The stream of events that keeps an open queue page new."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from desk.accounts.accounts import SignedIn
from desk.cases.queue_filter import QueueFilter
from desk.errors import DeskDatabaseError
from desk.live.queue_snapshot import QueueSnapshot
from desk.pages.queue_parts import queue_parts
from desk.preferences.preferences import Preferences
from desk.web.event_stream import event_text
from desk.web.services import DeskServices
from worker.errors import StoreError


@dataclass(frozen=True, kw_only=True)
class StreamPace:
    """Times of a stream, in seconds."""

    beat: float = 5.0
    """Longest time without an event: the page says how new it is, and notices that its connection is lost."""
    look: float = 15.0
    """Interval in which a stream asks whether its person is still signed in, in the same role."""
    longest: float = 600.0
    """Life of a stream. Its page opens another, a request that renews the session's cookie as every other does."""


PACE: Final = StreamPace()


async def queue_stream(
    services: DeskServices, signed_in: SignedIn, chosen: QueueFilter, *, pace: StreamPace = PACE
) -> AsyncIterator[bytes]:
    """Yields what changes on one page: everything at first, so that a page that comes back misses nothing."""
    loop, news = asyncio.get_running_loop(), asyncio.Event()
    began = looked = loop.time()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(news.set)

    # In a thread: the desk's database may be locked, and nobody else's request waits for that.
    page = await asyncio.to_thread(_OpenPage, services, signed_in, chosen)
    with services.feed.woken(wake):
        while not services.feed.closed and loop.time() - began < pace.longest:
            news.clear()
            if loop.time() - looked >= pace.look:
                looked = loop.time()
                if not await asyncio.to_thread(_is_still, services, signed_in):
                    yield event_text("", event="signed-out")
                    return
            for event in await asyncio.to_thread(page.changes):
                yield event
            with suppress(TimeoutError):
                async with asyncio.timeout(pace.beat):
                    await news.wait()


def _is_still(services: DeskServices, signed_in: SignedIn) -> bool:
    try:
        return services.accounts.is_still(signed_in)
    except (StoreError, DeskDatabaseError):  # nobody knows; every act asks again
        return True


class _OpenPage:
    """A page that is open, and what it has been sent."""

    def __init__(self, services: DeskServices, signed_in: SignedIn, chosen: QueueFilter) -> None:
        self._services = services
        self._reader = signed_in.actor
        self._chosen = chosen
        try:
            self._preferences = services.preferences.of(self._reader.name)
        except DeskDatabaseError:  # the queue is in Redis
            self._preferences = Preferences()
        self._head = self._list = ""

    def changes(self) -> list[bytes]:
        """The events that bring the page up to the newest snapshot, and one that says how new it is."""
        feed = self._services.feed
        try:
            # At first all that was written before: the newest snapshot is up to a second old while no page is open.
            snapshot = feed.newest() if self._head else feed.current()
        except StoreError:
            lost_at = feed.lost_at or time.time()
            return [event_text(json.dumps({"lost_seconds": round(time.time() - lost_at)}), event="beat")]
        head, rows = self._rendered(snapshot)
        events = []
        if head != self._head:
            self._head = head
            events.append(event_text(head, number=snapshot.number))
        if rows != self._list:
            self._list = rows
            events.append(event_text(rows, event="rows", number=snapshot.number))
        at_ms = snapshot.now_ms + round(1000 * snapshot.age_seconds())
        return [*events, event_text(json.dumps({"now_ms": at_ms}), event="beat")]

    def _rendered(self, snapshot: QueueSnapshot) -> tuple[str, str]:
        counts, reader = snapshot.counts, self._reader.name
        own = [counts.of_show(show, reader) for show in ("mine", "for_me")]
        # Who holds nothing sees what all others of the same role see who hold nothing.
        own_name = reader if any(own) or not self._chosen.is_plain else ""
        key = (self._chosen, own_name, self._reader.role, self._preferences.badge)
        return snapshot.kept(key, lambda: self._render(snapshot))

    def _render(self, snapshot: QueueSnapshot) -> tuple[str, str]:
        values = queue_parts(
            self._services, snapshot, self._chosen, reader=self._reader, preferences=self._preferences, ages=False
        )
        templates = self._services.templates
        head, rows = (templates.get_template(f"queue/{name}.html").render(values) for name in ("news", "list"))
        return head, rows
