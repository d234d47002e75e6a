"""`livewarden streams`: registers, removes and shows streams by hand."""

import json
import os
from typing import Annotated

import typer

from config.errors import PolicyError
from config.policy.risk_settings import DEFAULT_RISK, RiskSettings
from config.settings import Settings
from worker.cli.json_lines import print_json, print_result
from worker.cli.options import Json
from worker.cli.streams_forget import app as forget
from worker.errors import RegistryError
from worker.runtime.environment import settings_of
from worker.store.redis_client import connect, store_errors

app = typer.Typer(no_args_is_help=True, help="Watch streams, and show the coverage of each second.")

app.registered_commands += forget.registered_commands

StreamId = Annotated[str, typer.Argument(metavar="ID", help="1 to 200 characters of A-Z a-z 0-9 . _ : -")]


@app.command()
def add(
    stream_id: StreamId,
    url: Annotated[
        str | None, typer.Option(help="URL of the HLS playlist; default: LIVEWARDEN_URL_TEMPLATE, filled in.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="live, drill or canary.")] = "live",
    audience: Annotated[str, typer.Option(help="public, limited or private.")] = "public",
    risk_prior: Annotated[
        float, typer.Option(help="0 to 1: known risk; from a risk of 0.7 on streams go first.")
    ] = 0.0,
    metadata: Annotated[str, typer.Option(help="Your own metadata, a JSON object; events carry it.")] = "{}",
    as_json: Json = False,
) -> None:
    """Watch a stream; one that is already watched continues with the new settings."""
    from worker.ingest.registry.changes import Author
    from worker.ingest.registry.registration import register
    from worker.ingest.registry.registry import watch
    from worker.ingest.status import stream_status

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
        record = stream_status(redis, registration.stream_id, risk=_risk(settings))
    line = f"{record['stream_id']} is watched ({record['purpose']}, generation {record['generation']})"
    print_result(record, line, as_json=as_json)


@app.command()
def remove(stream_id: StreamId, as_json: Json = False) -> None:
    """Stop watching a stream; segments that were admitted are still moderated."""
    from worker.ingest.registry.changes import Author
    from worker.ingest.registry.registration import check_stream_id
    from worker.ingest.registry.registry import unwatch
    from worker.ingest.status import stream_status

    settings = settings_of(os.environ)
    redis = connect(settings.redis_url.get_secret_value())
    with store_errors():
        if not unwatch(redis, check_stream_id(stream_id), author=Author(deployment=settings.deployment)):
            raise RegistryError(f"stream_id: {stream_id}: no such stream is on record")
        record = stream_status(redis, stream_id, risk=_risk(settings))
    print_result(record, f"{stream_id} is not watched any more", as_json=as_json)


@app.command()
def signal(
    stream_id: StreamId,
    signals: Annotated[list[str], typer.Argument(metavar="NAME=NUMBER", help="Such as viewer-reports=3.")],
    as_json: Json = False,
) -> None:
    """Report signals of a live stream, such as viewers' reports; rules of the policy can use them."""
    from worker.ingest.registry.registration import check_stream_id
    from worker.ingest.registry.signals import check_signals, report_signals
    from worker.ingest.status import stream_status

    reported = check_signals(dict(_named_number(text) for text in signals))
    settings = settings_of(os.environ)
    redis = connect(settings.redis_url.get_secret_value())
    with store_errors():
        report_signals(redis, check_stream_id(stream_id), reported)
        record = stream_status(redis, stream_id, risk=_risk(settings))
    line = f"{stream_id}: {', '.join(f'{name} {number:g}' for name, number in record['signals'].items())}"
    print_result(record, line, as_json=as_json)


def _named_number(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError as error:
        raise RegistryError(f"signals: {text[:80]!r}: expected NAME=NUMBER") from error


def _risk(settings: Settings) -> RiskSettings:
    """The weights of the policy that this command's settings name; the built-in ones where it cannot be used, which
    `livewarden doctor` reports."""
    from config.policy.policy import load_policy

    try:
        return load_policy(settings.policy_file).risk
    except PolicyError:
        return DEFAULT_RISK


@app.command()
def show(stream_id: StreamId, as_json: Json = False) -> None:
    """Show one stream: its state, its risk part by part, and the coverage of each second."""
    from worker.ingest import status

    settings = settings_of(os.environ)
    redis = connect(settings.redis_url.get_secret_value())
    with store_errors():
        record = status.stream_status(redis, stream_id, risk=_risk(settings))
    if as_json:
        print_json(record)
        return
    from worker.cli.screen import Screen
    from worker.cli.streams_view import stream_table

    Screen().print(stream_table(record))


@app.command(name="list")
def list_streams(as_json: Json = False) -> None:
    """List all streams on record."""
    from worker.ingest import status

    settings = settings_of(os.environ)
    redis = connect(settings.redis_url.get_secret_value())
    with store_errors():
        records = status.stream_statuses(redis, risk=_risk(settings))
    if as_json:
        print_json(*records)
        return
    if not records:
        typer.echo("no streams on record")
        return
    from worker.cli.screen import Screen
    from worker.cli.streams_view import stream_listing

    Screen().print(stream_listing(records))


@app.command()
def refused(
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Number of messages, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the refused messages of platforms: when, why, and which sender they name."""
    from worker.ingest.messages.refusals import refused_messages

    redis = connect(settings_of(os.environ).redis_url.get_secret_value())
    with store_errors():
        records = refused_messages(redis, limit)
    if as_json:
        print_json(*records)
        return
    if not records:
        typer.echo("no refused messages")
        return
    from worker.cli.screen import Screen
    from worker.cli.streams_view import refused_listing

    Screen().print(refused_listing(records))
