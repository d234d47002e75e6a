"""`livewarden bank`: imports, shows and changes the lists of known material."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from config.counts import counted
from worker.cli.bank_people import app as people
from worker.cli.bank_session import author_of, format_named, session
from worker.cli.bank_view import print_checks, print_import, print_lists, print_stats, progress_of
from worker.cli.json_lines import print_json, print_result
from worker.cli.options import Json

app = typer.Typer(no_args_is_help=True, help="The hash bank: lists of known material.")
app.registered_commands += people.registered_commands

ListName = Annotated[str, typer.Argument(metavar="LIST", help="1 to 100 characters of A-Z a-z 0-9 . _ -")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who you are; recorded with what you do.")]
InRole = Annotated[str, typer.Option("--role", metavar="ROLE", help="Your role; recorded with what you do.")]
OPERATOR = "operator"
STDIN = Path("standard input")
"""Name in messages."""


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show all lists: their size, their source, and how pictures are compared with them."""
    from worker.bank.inspection import list_records

    with session() as now:
        records = list_records(now.in_force.bank, now.shared)
    if as_json:
        print_json(*records)
    else:
        print_lists(records)


@app.command()
def create(
    name: ListName,
    source: Annotated[
        str | None, typer.Option(help="Who provides it: NCMEC, IWF …; without it the list is your own.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Kind of material on it.")] = None,
    max_distance: Annotated[
        int | None, typer.Option(help="Largest PDQ distance that is a match, 0 to 31; default 31.")
    ] = None,
    min_quality: Annotated[
        int | None, typer.Option(help="Lowest PDQ quality of a picture that is compared, 0 to 100; default 50.")
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            help="Transforms that are compared too: mirror (also upside down and transposed), rotate, "
            "crop (borders and captions cut off; a crop of up to 5 % a side undone)."
        ),
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Whom to ask about the list.")] = None,
    exportable: Annotated[
        bool | None, typer.Option("--exportable/--not-exportable", help="Its source allows you to pass it on.")
    ] = None,
    refresh_hours: Annotated[
        float | None, typer.Option(help="Hours until you import it again; after that it is stale.")
    ] = None,
    change: Annotated[
        bool, typer.Option("--change", help="Change the given fields of an existing list; its entries stay.")
    ] = False,
    by: By = OPERATOR,
    role: InRole = "",
    as_json: Json = False,
) -> None:
    """Create an empty list, or change the fields of an existing one."""
    from worker.bank import edits

    given = {
        "source": source,
        "category": category,
        "max_distance": max_distance,
        "min_quality": min_quality,
        "variants": None if variants is None else " ".join(variants).replace(",", " ").split(),
        "owner": owner,
        "exportable": exportable,
        "refresh_seconds": None if refresh_hours is None else refresh_hours * 3600,
    }
    fields = {field: value for field, value in given.items() if value is not None}
    with session() as now:
        author = author_of(now.redis, by, role)
        if change:
            spec = edits.change(now.redis, now.shared.bank, name, fields, by=author)
        else:
            spec = edits.create(now.redis, now.shared.bank, edits.spec_of(fields | {"name": name}), by=author)
    record = {"list": name, **spec.model_dump(mode="json", exclude={"name"})}
    print_result(record, f"list {name} {'is changed' if change else 'is created, and empty'}", as_json=as_json)


@app.command("import")
def import_(
    name: ListName,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, PDQ, vPDQ, VICS, NCMEC or ThreatExchange; -: standard input.")
    ],
    layout: Annotated[
        str | None, typer.Option("--format", help="csv, pdq, vpdq, vics, ncmec or threatexchange; else by content.")
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option(
            "--category",
            metavar="TEXT",
            help="Category of VICS or NCMEC to import (default: all); may be given more than once.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="FILE is the complete list: withdraw the entries that it does not have.")
    ] = False,
    video: Annotated[
        str | None, typer.Option(help="vPDQ: name of the video; default: FILE's name, none for standard input.")
    ] = None,
    by: By = OPERATOR,
    role: InRole = "",
    as_json: Json = False,
) -> None:
    """Import FILE into LIST, all of it or nothing; entries of LIST stay, except for those that FILE withdraws.

    A list that does not exist is created. A malformed file is refused, with the place and the reason.
    """
    from worker.bank.imports import import_file
    from worker.lookback.bulk import prepare

    chosen = None if layout is None else format_named(layout)
    from_stdin = file == Path("-")
    if from_stdin:
        file = STDIN
    with session() as now, progress_of(file) as progress:
        done = import_file(
            now.redis,
            now.storage,
            name,
            file,
            format=chosen,
            categories=frozenset(categories if categories is not None else ()),
            replace=replace,
            by=author_of(now.redis, by, role),
            progress=progress,
            look_back=None if now.store is None else partial(prepare, now.redis, now.store),
            source=sys.stdin.buffer if from_stdin else None,
            video=video,
        )
    if as_json:
        print_json(done.to_record())
    else:
        print_import(done, file)


@app.command()
def export(
    name: ListName,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Default: standard output.")] = None,
    layout: Annotated[str, typer.Option("--format", help="csv or threatexchange.")] = "csv",
    as_json: Json = False,
) -> None:
    """Write a list of your own or an exportable one. It holds hashes: treat the file as you treat the lists."""
    from worker.bank.exports import entries_of, entry_record, export_list
    from worker.errors import LocalFileError

    with session() as now:
        if file is None and as_json:
            for entry in entries_of(now.in_force.bank, name):
                print_json(entry_record(entry))
        elif file is None:
            count = export_list(now.in_force.bank, name, sys.stdout, format_named(layout))
        else:
            # Under another name first: neither a refusal nor a full disk may leave half a list under the final name.
            part = file.with_name(f".{file.name}.part")
            try:
                with part.open("w", encoding="utf-8", newline="") as output:
                    count = export_list(now.in_force.bank, name, output, format_named(layout))
                part.replace(file)
            except OSError as error:
                raise LocalFileError(f"{file}: cannot be written: {error.strerror}") from error
            finally:
                part.unlink(missing_ok=True)
    if file is not None:
        record = {"list": name, "format": layout, "file": str(file), "entries": count}
        print_result(record, f"{file}: {counted(count, 'entry')} of {name}", as_json=as_json)


@app.command()
def match(
    hashes: Annotated[
        list[str] | None,
        typer.Argument(metavar="HASH", help="PDQ, MD5, SHA-1 or SHA-256, in hex; - or none: standard input."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look hashes up, as workers do: arguments, or one a line on standard input.

    Status 2 if one of them is no hash; the others are still looked up.
    """
    from worker.bank.inspection import look_up, placed_lines
    from worker.errors import BankRequestError

    from_stdin = not hashes or hashes == ["-"]
    arguments = ((text, f"hash {n}") for n, text in enumerate(hashes or (), 1))
    given = placed_lines(sys.stdin.buffer) if from_stdin else arguments
    refused = False
    with session() as now:
        for text, place in given:
            try:
                lookup = look_up(now.in_force.bank, text, place)
            except BankRequestError as error:
                typer.echo(f"livewarden: {error}", err=True)
                refused = True
                continue
            if as_json:
                print_json(lookup.to_record())
                continue
            matches = [f"{one.list} entry {one.entry} at distance {one.distance}" for one in lookup.matches]
            typer.echo(f"{text[:8]}…  {'; '.join(matches) or 'no match'}")
    if refused:
        raise typer.Exit(2)


@app.command()
def stats(as_json: Json = False) -> None:
    """Show the size of the bank, the changes since its snapshot, and whether every process follows."""
    from worker.bank import inspection
    from worker.lookback.jobs import look_backs

    with session() as now:
        record = inspection.stats(now.redis, now.in_force.bank, now.shared, look_backs=look_backs(now.redis))
    if as_json:
        print_json(record)
    else:
        print_stats(record)


@app.command()
def verify(as_json: Json = False) -> None:
    """Read every byte of the snapshot, and look up entries of each list. Status 1: something is wrong."""
    from worker.bank import inspection

    with session() as now:
        checks = list(inspection.verify(now.redis, now.storage))
    ok = all(check.ok for check in checks)
    if as_json:
        print_json({"ok": ok, "checks": [vars(check) for check in checks]})
    else:
        print_checks(checks)
    raise typer.Exit(int(not ok))
