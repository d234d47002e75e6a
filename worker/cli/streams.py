"""`livewarden streams`: what a platform engineer does by hand."""

import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.environment import settings_of
from worker.errors import RegistryError
from worker.printable import printable
from worker.redisdb import connect, store_errors

if TYPE_CHECKING:
    from rich.text import Text

app = typer.Typer(no_args_is_help=True, help="Watch streams, and see what became of each second of them.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output, and nothing else.")]
StreamId = Annotated[str, typer.Argument(metavar="ID", help="1 to 200 characters of A-Z a-z 0-9 . _ : -")]


def _print_json(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")


@app.command()
def add(
    stream_id: StreamId,
    url: Annotated[str | None, typer.Option(help="The HLS playlist; without it LIVEWARDEN_URL_TEMPLATE.")] = None,
    purpose: Annotated[str, typer.Option(help="live, drill or canary.")] = "live",
    audience: Annotated[str, typer.Option(help="public, limited or private.")] = "public",
    risk_prior: Annotated[float, typer.Option(help="0 to 1: how much reason there is to worry beforehand.")] = 0.0,
    metadata: Annotated[str, typer.Option(help="Your own notes, a JSON object; events carry them.")] = "{}",
    as_json: Json = False,
) -> None:
    """Begin to watch a stream; a stream that is watched already goes on with the new particulars."""
    from worker.status import show
    from worker.streams.changes import Author
    from worker.streams.registration import register
    from worker.streams.registry import watch

    settings = settings_of(os.environ)
    try:
        notes = json.loads(metadata)
    except json.JSONDecodeError as error:
        raise RegistryError(f"metadata: expected a JSON object: {error}") from error
    registration = register(
        stream_id,
        url,
        metadata=notes,
        purpose=purpose,
        audience=audience,
        risk_prior=risk_prior,
        url_template=settings.url_template,
        legal_basis=settings.legal_basis,
    )
    redis = connect(settings.redis_url.get_secret_value())
    with store_errors():
        watch(redis, registration, author=Author(deployment=settings.deployment), max_streams=settings.max_streams)
        record = show(redis, registration.stream_id)
    if as_json:
        _print_json(record)
    else:
        typer.echo(f"{record['stream_id']} is watched ({record['purpose']}, generation {record['generation']})")


@app.command()
def remove(stream_id: StreamId, as_json: Json = False) -> None:
    """Stop watching a stream; what was admitted of it is still moderated."""
    from worker.status import show
    from worker.streams.changes import Author
    from worker.streams.registration import check_stream_id
    from worker.streams.registry import unwatch

    settings = settings_of(os.environ)
    redis = connect(settings.redis_url.get_secret_value())
    with store_errors():
        if not unwatch(redis, check_stream_id(stream_id), author=Author(deployment=settings.deployment)):
            raise RegistryError(f"stream_id: {stream_id}: no such stream is on record")
        record = show(redis, stream_id)
    if as_json:
        _print_json(record)
    else:
        typer.echo(f"{stream_id} is not watched any more")


@app.command()
def signal(
    stream_id: StreamId,
    signals: Annotated[list[str], typer.Argument(metavar="NAME=NUMBER…", help="Such as viewer-reports=3.")],
    as_json: Json = False,
) -> None:
    """Report what you know of a stream while it is live; rules of the policy can look at it."""
    from worker.status import show
    from worker.streams.registration import check_stream_id
    from worker.streams.signals import check_signals, report_signals

    reported = check_signals(dict(_named_number(text) for text in signals))
    redis = connect(settings_of(os.environ).redis_url.get_secret_value())
    with store_errors():
        report_signals(redis, check_stream_id(stream_id), reported)
        record = show(redis, stream_id)
    if as_json:
        _print_json(record)
    else:
        typer.echo(f"{stream_id}: {', '.join(f'{name} {number:g}' for name, number in record['signals'].items())}")


def _named_number(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError as error:
        raise RegistryError(f"signals: {text[:80]!r}: expected NAME=NUMBER") from error


@app.command()
def show(stream_id: StreamId, as_json: Json = False) -> None:
    """Show one stream: its state, and what became of each second."""
    from worker import status

    redis = connect(settings_of(os.environ).redis_url.get_secret_value())
    with store_errors():
        record = status.show(redis, stream_id)
    if as_json:
        _print_json(record)
        return
    from rich.table import Table
    from rich.text import Text

    from worker.cli.screen import Screen

    table = Table(title=stream_id, show_header=False, title_justify="left")
    for name in ("state", "reason", "url", "purpose", "audience", "risk_prior", "generation", "epoch", "still"):
        if record[name] != "":
            table.add_row(name, Text(printable(str(record[name]))))
    for name, value in record.items():
        if name.endswith("_seconds") and value is not None:
            table.add_row(name.removesuffix("_seconds"), f"{value:10.1f} s", style="bold" if value else "dim")
    for reason, seconds in record["reasons"].items():
        table.add_row(f"  {reason}", f"{seconds:10.1f} s", style="yellow")
    if record["provisional"] is not None:
        since = datetime.fromtimestamp(record["provisional"]["since_ms"] / 1000, UTC)
        table.add_row(f"  {record['provisional']['reason']} since", f"{since:%Y-%m-%d %H:%M:%S} UTC", style="yellow")
    table.add_row("last polled", _ago(record["last_polled_seconds_ago"]))
    if record["unwatched_since"] is not None:
        table.add_row("unwatched", Text(f"since {record['unwatched_since']}: nobody polls it", style="bold red"))
    for part in record["slow"]:
        table.add_row("slow", Text(f"{part}: shares a quarter of the processes", style="yellow"))
    for key in record["damaged"]:
        table.add_row("damaged", Text(f"{key}: not of the kind that it should be", style="bold red"))
    for problem in record["degraded"]:
        table.add_row("degraded", Text(printable(problem), style="yellow"))
    for name, number in record["signals"].items():
        table.add_row(Text(printable(f"signal {name}")), f"{number:g}")
    for model, score in record["last_scores"].items():
        table.add_row(model, f"{score:.3f}")
    Screen().print(table)


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s ago"


@app.command(name="list")
def list_streams(as_json: Json = False) -> None:
    """List all streams on record."""
    from worker import status

    redis = connect(settings_of(os.environ).redis_url.get_secret_value())
    with store_errors():
        records = status.show_all(redis)
    if as_json:
        for record in records:
            _print_json(record)
        return
    from rich.table import Table
    from rich.text import Text

    from worker.cli.screen import Screen, badge
    from worker.polling.cursor import StreamState

    # In 80 columns too: numbers stay whole, and words are broken rather than cut.
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column("stream", overflow="fold")
    table.add_column("state", overflow="fold", min_width=len(StreamState.UNREACHABLE))
    for heading in ("elapsed", "moderated", "not seen", "pending", "lag", "polled"):
        table.add_column(heading, no_wrap=True, justify="right")
    for record in records:
        unseen = record["skipped_seconds"] + record["failed_seconds"] + record["missed_seconds"]
        table.add_row(
            Text(record["stream_id"]) + badge(record["purpose"]),
            _state(record),
            f"{record['elapsed_seconds']:.0f} s",
            f"{record['moderated_seconds']:.0f} s",
            f"[yellow]{unseen:.0f} s[/]" if unseen else "0 s",
            f"{record['pending_seconds']:.0f} s",
            "" if record["lag_seconds"] is None else f"{record['lag_seconds']:.1f} s",
            _ago(record["last_polled_seconds_ago"]),
        )
    Screen().print(table)


def _state(record: dict[str, Any]) -> "Text":
    from rich.text import Text

    state = Text(printable(f"{record['state']} {record['reason']}".strip()))
    if record["unwatched_since"] is not None:
        state += Text(f" unwatched since {record['unwatched_since']}", style="bold red")
    if record["damaged"]:
        state += Text(" damaged", style="bold red")
    return state


@app.command()
def refused(
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Show messages of platforms that were refused: when, why, and who says that he sent them."""
    from worker.cli.screen import Screen
    from worker.intake.refusals import refused_messages

    redis = connect(settings_of(os.environ).redis_url.get_secret_value())
    with store_errors():
        records = refused_messages(redis, limit)
    if as_json:
        for record in records:
            _print_json(record)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("when", min_width=len("2026-11-26"))
    for heading in ("reason", "problem", "task", "sent by"):
        table.add_column(heading, overflow="fold")
    table.add_column("bytes", no_wrap=True, justify="right")
    for record in records:
        shown = record["shown"]
        when = f"{datetime.fromtimestamp(record['at_ms'] / 1000, UTC):%Y-%m-%d %H:%M:%S}"
        texts = (
            when,
            record["reason"],
            record["problem"],
            f"{shown.get('task', shown.get('head', ''))} {shown.get('stream_id', '')}".strip(),
            shown.get("origin", ""),
        )
        table.add_row(*(Text(printable(str(text))) for text in texts), f"{record['size_bytes']:,}")
    Screen().print(table)
