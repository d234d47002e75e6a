"""Parts of the queue page: what its templates need, for the page itself and for the events that keep it new."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from desk.cases.queue_filter import SHOWS, QueueFilter
from desk.cases.queue_rows import row_of
from desk.live.queue_snapshot import QueueSnapshot
from desk.live.watch_feed import WatchNow
from desk.preferences.preferences import Preferences
from desk.texts.catalogue import Texts
from desk.texts.durations import duration
from desk.web.services import DeskServices
from worker.people.actor import Actor, Role

MOST_ORIGINS: Final = 3
"""Origins that are named; the others are counted."""


def queue_parts(
    services: DeskServices,
    snapshot: QueueSnapshot,
    chosen: QueueFilter,
    *,
    reader: Actor,
    preferences: Preferences,
    ages: bool = True,
) -> dict[str, Any]:
    """Everything that the queue's templates name.

    Args:
        ages: False leaves the times' words empty: the page's script fills them in, and an event that says nothing else
            is none.
    """
    texts, counts = services.texts, snapshot.counts
    page = snapshot.page(chosen, reader.name)
    now_ms = snapshot.now_ms + (round(1000 * snapshot.age_seconds()) if ages else 0)
    watch = services.watch.newest()
    return {
        "chosen": chosen,
        "counts": counts,
        "open_count": counts.open,
        "shows": [(show, counts.of_show(show, reader.name)) for show in SHOWS],
        "rows": [
            row_of(case, reader=reader.name, now_ms=now_ms, waits=snapshot.waits, texts=texts) for case in page.cases
        ],
        "found": page,
        "aside": watch.aside,
        "altered": watch.altered if reader.role is Role.LEAD else None,
        "waits": {count.severity: snapshot.waits.of_ms(count.severity) // 1000 for count in counts.severities},
        "notices": list(notices(watch, texts)),
        "watch": watch,
        "page_title": page_title(snapshot, preferences, texts),
        "age": _ages(now_ms, texts) if ages else _no_age,
        "span": lambda seconds: duration(seconds, texts),
        "now_ms": now_ms,
        "choices": _with_chosen,
    }


def page_title(snapshot: QueueSnapshot, preferences: Preferences, texts: Texts) -> str:
    """The title of the page, with the counts if the reader wants them there."""
    counts = snapshot.counts
    if not preferences.badge:
        return texts("queue.title")
    if not counts.open:
        return texts("queue.page_title_empty")
    critical = counts.severities[0].cases
    if critical:
        return texts("queue.page_title_critical", critical=critical, count=counts.open)
    return texts("queue.page_title", count=counts.open)


def notices(watch: WatchNow, texts: Texts) -> Iterator[str]:
    """Yields what of the watched streams is not seen at present, and so cannot be in the queue."""
    summary = watch.summary
    if summary is None:
        return
    if summary.late and summary.late_since_ms is not None:
        age = duration((summary.now_ms - summary.late_since_ms) / 1000, texts)
        yield texts("queue.not_polled", count=summary.late, watched=summary.watched, age=age)
    for one in summary.origins[:MOST_ORIGINS]:
        key = "queue.origin_stalled" if one.stalled else "queue.origin_unreachable"
        age = duration((summary.now_ms - one.since_ms) / 1000, texts)
        yield texts(key, count=one.streams, origin=one.origin, age=age)
    if len(summary.origins) > MOST_ORIGINS:
        yield texts("queue.more_origins", count=len(summary.origins) - MOST_ORIGINS)


def _ages(now_ms: int, texts: Texts) -> Callable[[int], str]:
    return lambda since_ms: duration((now_ms - since_ms) / 1000, texts)


def _with_chosen(names: Sequence[str], chosen: str) -> Sequence[str]:
    """The choices of a filter; the one in force stays among them when no case has it any more."""
    return names if not chosen or chosen in names else (*names, chosen)


def _no_age(_since_ms: int) -> str:
    return ""
