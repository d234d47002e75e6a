"""`livewarden bank add|remove|quarantine|history`: changes of single entries by people."""

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.bank_session import Session, author_of, person_of, session
from worker.cli.bank_view import print_quarantined
from worker.cli.json_lines import print_json, print_result
from worker.cli.options import Json

if TYPE_CHECKING:
    from worker.people.actor import Actor

app = typer.Typer()

ListName = Annotated[str, typer.Argument(metavar="LIST", help="Name of the list.")]
ByPerson = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who you are; recorded.")]
InRole = Annotated[
    str | None, typer.Option("--role", metavar="ROLE", help="platform, moderator, lead, operator or auditor.")
]
Hours = Annotated[float | None, typer.Option("--hours", metavar="H", help="For how long.")]


@app.command()
def add(
    name: ListName,
    text: Annotated[str, typer.Argument(metavar="HASH", help="In hex: PDQ, MD5, SHA-1 or, with --kind, SHA-256.")],
    kind: Annotated[str | None, typer.Option(help="pdq, md5, sha1 or sha256; default: by length.")] = None,
    entry: Annotated[
        str | None, typer.Option("--id", "--entry", metavar="ID", help="Id of the entry; default: a new one.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag of the entry; may be given more than once.")] = None,
    video: Annotated[str | None, typer.Option(help="Video that it is a frame of.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Time in that video, in seconds.")] = None,
    quality: Annotated[int | None, typer.Option(min=0, max=100, help="PDQ quality; `confirmed` needs it.")] = None,
    for_list: Annotated[
        str | None, typer.Option("--for", metavar="LIST", help="For `allow`: the list whose matches are lowered.")
    ] = None,
    hours: Hours = None,
    by: ByPerson = None,
    role: InRole = None,
    as_json: Json = False,
) -> None:
    """Add one hash to LIST: in force on every worker within seconds.

    LIST `confirmed` takes a picture of quality 80 or more once a second person gives the same command. LIST `allow`
    takes a picture that a lead found harmless: it lowers the matches of --for LIST to `review`, for --hours.
    """
    from config.facts import ALLOW
    from models.bank.entries import CONFIRMED, Entry, HashKind
    from worker.bank import edits
    from worker.bank.edits import check_entry, derived_entry_id
    from worker.bank.inspection import parse_hash
    from worker.errors import BankRequestError

    try:
        wanted = None if kind is None else HashKind(kind)
    except ValueError:
        raise BankRequestError(f"--kind {kind!r}: expected one of {', '.join(HashKind)}") from None
    chosen, value = parse_hash(text, "HASH", wanted)
    with session() as now:
        if name == CONFIRMED:
            _confirm(now, value, quality, entry, person_of(now.redis, by, role), as_json=as_json)
            return
        if name == ALLOW:
            _allow(now, value, quality, for_list, hours, person_of(now.redis, by, role), as_json=as_json)
            return
        added = check_entry(
            Entry(
                entry=derived_entry_id(name, chosen, value) if entry is None else entry,
                kind=chosen,
                value=value,
                tags=tuple(tag or ()),
                video=video,
                seconds=seconds,
            )
        )
        edits.add(now.redis, now.shared.bank, name, [added], by=author_of(now.redis, by, role))
    record = {"list": name, "entry": added.entry, "kind": str(chosen)}
    print_result(record, f"{name}: entry {added.entry}", as_json=as_json)


@app.command()
def remove(
    name: ListName,
    entries: Annotated[list[str] | None, typer.Argument(metavar="ENTRY", help="Ids of entries.")] = None,
    whole_list: Annotated[
        bool, typer.Option("--whole-list", help="Withdraw the list itself, with all entries.")
    ] = False,
    by: ByPerson = None,
    role: InRole = None,
    as_json: Json = False,
) -> None:
    """Withdraw entries of LIST, or LIST itself: out of force on every worker within seconds."""
    from worker.bank import edits
    from worker.errors import BankRequestError

    if bool(entries) is whole_list:
        raise BankRequestError("name the entries to withdraw, or give --whole-list")
    with session() as now:
        author = author_of(now.redis, by, role)
        if whole_list:
            edits.drop(now.redis, now.shared.bank, name, by=author)
        else:
            edits.remove(now.redis, now.shared.bank, name, entries or [], by=author)
    record = {"list": name, "removed": entries or [], "whole_list": whole_list}
    line = f"{name}: {'withdrawn' if whole_list else f'{len(entries or [])} withdrawn'}"
    print_result(record, line, as_json=as_json)


@app.command()
def quarantine(
    name: Annotated[str | None, typer.Argument(metavar="LIST", help="Without it: show what is in quarantine.")] = None,
    entry: Annotated[str | None, typer.Argument(metavar="ENTRY", help="Id of the entry.")] = None,
    hours: Annotated[float, typer.Option("--hours", metavar="H", help="For how long, at most 72.")] = 24.0,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="End the quarantine before its time.")] = False,
    by: ByPerson = None,
    role: InRole = None,
    as_json: Json = False,
) -> None:
    """Keep an entry that floods from raising incidents for some hours; matches are still recorded. For leads."""
    from dataclasses import asdict

    from worker.bank.quarantine import lift_quarantine, quarantines, set_quarantine
    from worker.errors import BankRequestError
    from worker.events.cloudevent import rfc3339

    with session() as now:
        if name is None:
            found = quarantines(now.redis)
            if as_json:
                for one in found:
                    print_json(asdict(one))
            elif found:
                print_quarantined(found)
            else:
                typer.echo("nothing is in quarantine")
            return
        if entry is None:
            raise BankRequestError("name the list and the entry")
        actor = person_of(now.redis, by, role)
        if lift:
            lift_quarantine(now.redis, name, entry, actor=actor)
            record = {"list": name, "entry": entry, "lifted": True}
            text = f"{name} {entry} raises again"
        else:
            made = set_quarantine(now.redis, now.in_force.bank, name, entry, hours=hours, reason=reason, actor=actor)
            record, text = asdict(made), f"{name} {entry} raises nothing until {rfc3339(made.until_ms)}"
    print_result(record, text, as_json=as_json)


@app.command()
def history(
    name: Annotated[str | None, typer.Argument(metavar="LIST", help="Default: all lists.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """Show the changes of LIST: who made them, and when."""
    from itertools import islice

    from worker.bank.edits import must_exist
    from worker.bank.history import read_history
    from worker.events.cloudevent import rfc3339

    with session() as now:
        some = False
        for act in islice(read_history(now.redis, list_name=name), limit):
            some = True
            if as_json:
                print_json(act.to_record())
            else:
                typer.echo(f"{rfc3339(act.at_ms)} {act.in_words()}")
        if some:
            return
        if name is not None:  # a list that was withdrawn has a history
            must_exist(now.in_force.bank, name)
    if not as_json:
        typer.echo(f"no change of {name or 'any list'} is recorded")


def _confirm(
    now: Session, value: bytes, quality: int | None, entry: str | None, actor: "Actor", *, as_json: bool
) -> None:
    from models.pdq.pdq import PdqHash
    from worker.bank import own_lists
    from worker.errors import BankRequestError

    if quality is None:
        raise BankRequestError("--quality: give the picture's PDQ quality, as `livewarden hash` prints it")
    pdq = PdqHash(bits=value, quality=quality)
    done = own_lists.confirm(now.redis, pdq, actor=actor, entry=entry, bank=now.shared.bank)
    record = {"list": "confirmed", "entry": done.entry, "confirmed": done.confirmed, "proposed_by": done.proposed_by}
    line = f"entry {done.entry} waits for a second person to give the same command"
    if done.confirmed:
        line = f"confirmed: entry {done.entry}, proposed by {done.proposed_by}"
    print_result(record, line, as_json=as_json)


def _allow(
    now: Session,
    value: bytes,
    quality: int | None,
    for_list: str | None,
    hours: float | None,
    actor: "Actor",
    *,
    as_json: bool,
) -> None:
    from models.pdq.pdq import PdqHash
    from worker.bank import own_lists
    from worker.errors import BankRequestError

    if for_list is None or hours is None:
        raise BankRequestError(f"give --for LIST and --hours H, at most {own_lists.MAX_ALLOW_HOURS}")
    pdq = PdqHash(bits=value, quality=100 if quality is None else quality)
    made = own_lists.allow(now.redis, now.in_force.bank, pdq, list_name=for_list, hours=hours, actor=actor)
    record = {"list": "allow", "entry": made.entry, "for": for_list, "tags": list(made.tags)}
    print_result(record, f"allow: entry {made.entry} lowers {for_list} to review for {hours:g} h", as_json=as_json)
