"""`livewarden audit`: who did what, and whether the record of it stands."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.counts import counted
from worker.cli.json_lines import print_json
from worker.cli.options import Json

if TYPE_CHECKING:
    from redis import Redis

    from worker.audit.segments import Cipher
    from worker.audit.verification import AuditReport
    from worker.store.object_store import ObjectStore

app = typer.Typer(no_args_is_help=True, help="The audit log: who did what, and whether the record of it stands.")

NOT_WHOLE = 1
"""Exit status of a verification that found a fault, or could not open all segments."""

SHOWN = 100

_FAULT = re.compile("[a-z]+:[0-9a-f]+:[0-9]+")
"""Name of a fault, in ASCII."""


@app.command("list")
def list_entries(
    person: Annotated[str, typer.Option(help="Only acts of this person.")] = "",
    act: Annotated[str, typer.Option(help="Only acts of this kind: take, view, decision, role and so on.")] = "",
    subject: Annotated[
        str,
        typer.Option(help="Only acts on this incident, case, picture, list, stream or person, or a beginning of it."),
    ] = "",
    since: Annotated[
        str, typer.Option(help="Only acts from this time on, as 2026-11-27 (UTC) or 2026-11-27T12:00Z.")
    ] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"At most so many; {SHOWN} on a terminal, all with --json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List who did what, the newest first."""
    from worker.audit.entries import Act
    from worker.audit.search import AuditSearch, EntryFilter

    if act and act not in tuple(Act):
        raise typer.BadParameter(f"{act!r} is none of {', '.join(Act)}", param_hint="--act")
    wanted = EntryFilter(by=person, act=act, subject=subject, since_ms=_since_ms(since))
    with _session() as (redis, store, opened):
        search = AuditSearch(redis, store, opened=opened)
        found = search.find(wanted)
        if as_json:
            for record in islice(found, limit):
                print_json(record)
        else:
            most = SHOWN if limit is None else limit
            records = list(islice(found, most + 1))
            _print_entries(records[:most], more=len(records) > most)
        if search.unopened:
            typer.echo(
                f"livewarden: {counted(search.unopened, 'segment')} could not be opened: set "
                "LIVEWARDEN_EVIDENCE_IDENTITY; `livewarden audit verify` names damaged ones",
                err=True,
            )


@app.command("verify")
def verify_log(
    known: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:CHAIN:N",
            help="A fault that was inquired into, which does not count any more; may be given more than once.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify that no entry was altered, removed, added or moved, and that the end was not cut off. Ends with status 1
    if something was, or if a segment could not be opened."""
    from worker.audit.verification import verify

    for name in known or ():
        if not _FAULT.fullmatch(name):
            raise typer.BadParameter(
                f"{name!r}: expected a fault as an earlier report has it in brackets, KIND:CHAIN:N",
                param_hint="--known",
            )
    with _session() as (redis, store, opened):
        report = verify(redis, store, opened=opened, known_faults=known or ())
    if as_json:
        print_json(_record(report))
    else:
        _print_report(report)
    if not report.whole or report.unopened:
        raise typer.Exit(NOT_WHOLE)


@contextmanager
def _session() -> "Iterator[tuple[Redis, ObjectStore, Cipher | None]]":
    from worker.cli.evidence_keys import audit_opener
    from worker.runtime.environment import settings_of
    from worker.store.object_store import ObjectStore
    from worker.store.redis_client import connect

    settings = settings_of(os.environ)
    opened = audit_opener(settings)
    with connect(settings.redis_url.get_secret_value()) as redis:
        yield redis, ObjectStore(settings.store_url), opened


def _since_ms(text: str) -> int:
    if not text:
        return 0
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: expected a date, or a date and a time, as 2026-11-27T12:00Z", param_hint="--since"
        ) from None
    return round((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _print_entries(records: list[dict[str, Any]], *, more: bool) -> None:
    from rich.text import Text

    from worker.cli.screen import Screen
    from worker.tables.listing import Listing, fixed, ids, texts

    if not records:
        typer.echo("No such entry.")
        return
    note = f"The newest {len(records):,}; for more: --limit, --since or --json" if more else ""
    table = Listing(
        fixed("time"),
        texts("person"),
        fixed("act"),
        ids("subject"),
        texts("details"),
        note=note,
        left_out_first=("details",),
    )
    for record in records:
        by = str(record["by"]) if record["verified"] else Text.assemble(str(record["by"]), (" unverified", "yellow"))
        details = record["details"] if isinstance(record["details"], dict) else {}
        table.add(
            str(record["at"])[:19] + "Z",
            by,
            str(record["act"]),
            str(record["subject"]),
            ", ".join(f"{name} {_shown(value)}" for name, value in details.items() if value not in ("", [])),
        )
    Screen().print(table)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _record(report: "AuditReport") -> dict[str, Any]:
    from dataclasses import asdict

    from worker.events.cloudevent import rfc3339

    head = report.published
    published = None if head is None else {"n": head.n, "hash": head.hash, "at": rfc3339(head.published_ms)}
    return {
        "whole": report.whole,
        "complete": not report.unopened,
        "chains": [asdict(chain) for chain in report.chains],
        "faults": [asdict(fault) for fault in report.faults],
        "faults_in_all": report.faults_in_all,
        "known": [asdict(fault) for fault in report.known],
        "unlinked": report.unlinked,
        "unopened": report.unopened,
        "published": published,
    }


def _print_report(report: "AuditReport") -> None:
    from worker.events.cloudevent import rfc3339

    for chain in report.chains:
        which = "" if chain.current else ", which ended"
        typer.echo(f"chain {chain.chain}{which}: entries 1 to {chain.last:,}, up to {chain.in_store:,} in the store")
    for fault in report.faults:
        typer.echo(f"{fault.kind}: {fault.text}{f' [{fault.name}]' if fault.n else ''}")
    for fault in report.known:
        typer.echo(f"known: {fault.text}")
    if report.faults_in_all > len(report.faults):
        typer.echo(f"and {counted(report.faults_in_all - len(report.faults), 'more fault')}")
    if report.unopened:
        typer.echo(
            f"{counted(report.unopened, 'segment')} could not be opened: that they follow one another was verified, "
            "and what is in them was not. Set LIVEWARDEN_EVIDENCE_IDENTITY."
        )
    if report.unlinked:
        typer.echo(f"{counted(report.unlinked, 'entry')} will be linked within seconds.")
    if report.whole and report.known:
        typer.echo("The log has no other fault.")
    elif report.whole and report.chains:
        typer.echo("The log is whole.")
    elif report.whole:
        typer.echo("The log is empty.")
    if report.published is not None:
        typer.echo(
            f"Entries after number {report.published.n:,}, published at {rfc3339(report.published.published_ms)}, "
            "could have been cut off by whoever has a worker's rights in Redis, and nothing here would show it."
        )
    elif report.chains:
        typer.echo("No head was published: an end that was cut off would not show.")
