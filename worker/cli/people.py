"""`livewarden people`: the roster of people, their roles and their tokens."""

import os
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.json_lines import print_json, print_result
from worker.cli.options import Json, acting_person
from worker.cli.queue_hold import queue_redis

app = typer.Typer(no_args_is_help=True, help="Keep the roster: who is a moderator, a lead, an operator or an auditor.")

PersonName = Annotated[str, typer.Argument(metavar="NAME", help="1 to 100 printable characters.")]
ByLead = Annotated[
    str | None, typer.Option("--by", metavar="LEAD", help="A lead of the roster; needs that person's token.")
]
OutFile = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="Write the token to FILE, readable for you only. Replaces no other person's."
    ),
]


@app.command()
def add(
    name: PersonName,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="moderator, lead, operator or auditor.")],
    by: ByLead = None,
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Add NAME, and print the token that proves to be NAME: it is shown once. Or give NAME another role.

    The first person is a lead, and needs no --by. From then on, commands with --by need that person's token, in
    LIVEWARDEN_TOKEN or a file that LIVEWARDEN_TOKEN_FILE names.
    """
    from worker.errors import PeopleError, UnconfirmedTokenError
    from worker.people.actor import Actor
    from worker.people.changes import add_person
    from worker.people.roster import may_be_lost, read_roster
    from worker.people.token_file import TokenFile

    redis = queue_redis()
    roster = read_roster(redis)
    if by is None:
        if roster:
            raise PeopleError("--by LEAD is required: only a lead may change the roster")
        actor = Actor.named(name)
    else:
        actor = acting_person(redis, by)
    with TokenFile.beside(out, replaceable=lambda text: may_be_lost(roster, text, name)) as file:
        try:
            token = add_person(redis, name, role, by=actor)
        except UnconfirmedTokenError as error:
            kept = file.write_beside(error.token)
            _print_token(name, f"{name} may be {role}", error.token, kept, {"role": role}, as_json=as_json)
            raise
        if token is not None:
            file.write(token)
    if token is None:
        print_result({"name": name, "role": role, "added": False}, f"{name} is {role} now", as_json=as_json)
        return
    _print_token(name, f"{name} is {role}", token, out, {"role": role, "added": True}, as_json=as_json)


@app.command()
def remove(name: PersonName, by: ByLead = None, as_json: Json = False) -> None:
    """Remove NAME from the roster: NAME's token is refused from now on, and NAME's incidents are free."""
    from worker.errors import PeopleError
    from worker.people.changes import remove_person

    if by is None:
        raise PeopleError("--by LEAD is required: only a lead may change the roster")
    redis = queue_redis()
    remove_person(redis, name, by=acting_person(redis, by))
    print_result({"name": name, "removed": True}, f"{name} is not in the roster any more", as_json=as_json)


@app.command()
def token(name: PersonName, by: ByLead = None, out: OutFile = None, as_json: Json = False) -> None:
    """Give NAME a new token, and print it once; the one before is refused from now on.

    Without --by it is your own, which needs the one before. A lead gives anybody a new one.
    """
    from worker.errors import UnconfirmedTokenError
    from worker.people.changes import renew_token
    from worker.people.roster import may_be_lost, read_roster
    from worker.people.token_file import TokenFile

    redis = queue_redis()
    actor = acting_person(redis, name if by is None else by)
    roster = read_roster(redis)
    with TokenFile.beside(out, replaceable=lambda text: may_be_lost(roster, text, name)) as file:
        try:
            made = renew_token(redis, name, by=actor)
        except UnconfirmedTokenError as error:
            kept = file.write_beside(error.token)
            _print_token(name, f"{name} may have a new token", error.token, kept, {}, as_json=as_json)
            raise
        file.write(made)
    _print_token(name, f"{name} has a new token", made, out, {}, as_json=as_json)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show the people of the roster and their roles, without tokens."""
    from worker.cli.screen import Screen
    from worker.errors import StoreError
    from worker.events.cloudevent import rfc3339
    from worker.people.roster import Person, read_roster
    from worker.tables.listing import Listing, fixed, texts

    people: list[dict[str, str | None]] = []
    for name, text in sorted(read_roster(queue_redis()).items(), key=lambda record: record[0].casefold()):
        try:
            person = Person.from_json(name, text)
        except StoreError:
            people.append({"name": name, "role": "unreadable", "added": None, "added_by": None})
            continue
        added = rfc3339(person.added_ms) if person.added_ms else None
        people.append({"name": name, "role": person.role, "added": added, "added_by": person.added_by or None})
    if as_json:
        print_json(*people)
        return
    if not people:
        typer.echo("there is no roster: anybody may act under any name (`livewarden people add NAME --role lead`)")
        return
    table = Listing(texts("name"), fixed("role"), fixed("added"), texts("by"), left_out_first=("by", "added"))
    for one in people:
        table.add(one["name"] or "", one["role"] or "", one["added"] or "", one["added_by"] or "")
    Screen().print(table)


def _print_token(
    name: str, line: str, made: str, out: Path | None, more: dict[str, str | bool], *, as_json: bool
) -> None:
    """Prints a new token, the only time; with --out the name of its file."""
    if as_json:
        print_json({"name": name, **more, **({"token": made} if out is None else {"out": os.fspath(out)})})
    elif out is not None:
        typer.echo(f"{line}: the token is in {out}")
    else:
        typer.echo(f"{line}; keep this token, it is not shown again:", err=True)
        typer.echo(made)
