"""The demo itself: registers a stream as a platform would, and reads the queue as a platform's consumer would."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from celery import Celery
from redis import Redis
from redis.exceptions import ResponseError
from rich.console import Console
from rich.live import Live

from worker.demo.screen import escalation_line, stream_table
from worker.demo.stack import REVIEWER, Interrupted, Stack
from worker.errors import DemoError, EvidenceError, ObjectStoreError, RegistryError
from worker.incidents.keys import ESCALATION_KEYS
from worker.ingest.status import stream_status
from worker.store.redis_client import connect, store_errors

STREAM_ID = "demo"
GROUP = CONSUMER = "demo"
FIRST_ESCALATION_SECONDS = 60.0
REFRESH_MILLISECONDS = 400
"""Time for which one read of the queue blocks, and so the greatest age of the table."""


def run(
    *, environment: Mapping[str, str], console: Console, once: bool, url: str | None, stop: threading.Event
) -> bool:
    """Runs the demo until `stop` is set, or with `once` until the first escalation was read and acknowledged.

    Returns:
        False: `stop` was set.

    Raises:
        DemoError: with `once`, no escalation came in time; or one of the processes ended.
    """
    # With `once` nobody has the time to look.
    others = ["a Celery worker", "beat", *(() if once else ("the desk",)), *(("a live origin",) if url is None else ())]
    console.print(f"Starting Valkey, {', '.join(others[:-1])} and {others[-1]}…")
    try:
        with (
            Stack(environment=environment, url=url, stop=stop, desk=not once) as stack,
            connect(stack.redis_url) as redis,
            store_errors(),
        ):
            _enqueue(stack)
            console.print(f"Watching {stack.stream_url} as stream {STREAM_ID}, a drill.", highlight=False, markup=False)
            if url is None:
                console.print("The test card appears in it every 20 s.", highlight=False)
            with Live(stream_table(None), console=console, auto_refresh=False) as live:
                _follow(stack, redis, live, once)
    except Interrupted:
        return False
    return True


def _enqueue(stack: Stack) -> None:
    """Registers the stream as a platform does: by the task's public name, without imports of Livewarden."""
    with Celery("platform", broker=stack.redis_url) as platform:
        platform.send_task(
            "livewarden.watch_stream",
            kwargs={"stream_id": STREAM_ID, "url": stack.stream_url, "purpose": "drill"},
            queue="intake",
        )


def _follow(stack: Stack, redis: Redis, live: Live, once: bool) -> None:
    """Shows the stream's record and each escalation, until the first one if `once`."""
    _join_group(redis)
    deadline = monotonic() + FIRST_ESCALATION_SECONDS
    shown, picture_shown, link_shown = "", False, False
    while True:
        stack.check()
        if not link_shown and (link := stack.desk_link()) is not None:
            live.console.print(
                f"The desk, where people judge, signed in as its lead {REVIEWER} (the link is good once):"
            )
            live.console.print(f"    {link}", highlight=False, markup=False, soft_wrap=True)
            link_shown = True
        record = None
        with suppress(RegistryError):  # the worker has not yet taken the task
            record = stream_status(redis, STREAM_ID)
        live.update(stream_table(record), refresh=True)
        if shown != (shown := _condition(record)):
            live.console.print(f"The stream {shown}.", style="dim", highlight=False, markup=False)
        for stream, entry_id, event in _read(redis):
            live.console.print(escalation_line(event))
            redis.xack(stream, GROUP, entry_id)
            if not picture_shown:
                _show_picture(stack, redis, live.console, event, once=once)
                picture_shown = True
            if once:
                return
        if once and monotonic() > deadline:
            raise DemoError(
                f"no escalation came within {FIRST_ESCALATION_SECONDS:.0f} s; the stream {shown}; "
                f"the end of the worker's log:\n{stack.worker_log()}"
            )


def _show_picture(stack: Stack, redis: Redis, console: Console, event: Mapping[str, Any], *, once: bool) -> None:
    """Shows the picture behind the first incident and, unless the demo ends now, commands for another terminal."""
    # Heavy, and not needed by a demo that is ended before.
    from worker.demo.pictures import commands, show_picture

    try:
        show_picture(event, redis=redis, environment=stack.reviewer, console=console, draws=console.is_terminal)
    except (EvidenceError, ObjectStoreError) as error:
        raise DemoError(f"its picture cannot be shown: {error}") from error
    if not once and (evidence := event["data"].get("evidence")):
        console.print("From another terminal, while the demo runs:", highlight=False)
        for line in commands(str(evidence[0]["ref"]), stack.reviewer):
            console.print(f"    {line}", highlight=False, markup=False, soft_wrap=True)


def _join_group(redis: Redis) -> None:
    """Creates a separate consumer group, from each stream's beginning: the moderators' group is not touched."""
    for stream in ESCALATION_KEYS:
        try:
            redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


def _read(redis: Redis) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yields stream key, entry ID and event of new entries; the caller acknowledges them."""
    answer: Any = redis.xreadgroup(GROUP, CONSUMER, dict.fromkeys(ESCALATION_KEYS, ">"), block=REFRESH_MILLISECONDS)
    for stream, entries in answer or ():
        for entry_id, fields in entries:
            yield stream, entry_id, json.loads(fields["event"])


def _condition(record: Mapping[str, Any] | None) -> str:
    """The stream's state in the registry, in words."""
    if record is None:
        return "is being registered"
    reason = f": {record['reason']}" if record["reason"] else ""
    return f"is {record['state']}{reason}"
