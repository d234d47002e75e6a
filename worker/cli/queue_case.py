"""`livewarden queue take|hold|extend|hand-over|ask-help|release`: a case as a whole, as its page does it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.json_lines import print_json, print_result
from worker.cli.options import Json, acting_person
from worker.cli.queue_hold import By, queue_redis

if TYPE_CHECKING:
    from worker.queue.case_acts import CaseLease

app = typer.Typer()

CaseId = Annotated[
    str,
    typer.Argument(metavar="CASE", help="data.case_id of its events, or an incident of it as for the other commands."),
]


@app.command()
def take(case: CaseId, by: By, as_json: Json = False) -> None:
    """Take the case that you choose, whatever its turn: all of it that nobody else holds.

    What was handed over to you is yours to take. With --json: the CloudEvent of the most urgent incident, as `next`
    prints it.
    """
    import json

    from worker.cli.queue_view import held_lines, print_incident
    from worker.queue.claims import take_case
    from worker.queue.lookup import find_case
    from worker.queue.record import describe_incident

    redis = queue_redis()
    claim = take_case(redis, acting_person(redis, by), find_case(redis, case))
    if as_json:
        typer.echo(claim.event)
        return
    handed = describe_incident(redis, claim.incident_id)["handed"]
    if handed is not None and handed["note"]:
        typer.echo(f"from {handed['by']}: {handed['note']}\n")
    print_incident(json.loads(claim.event))
    for line in held_lines(claim):
        typer.echo(line)


@app.command()
def hold(
    case: CaseId,
    by: By,
    minutes: Annotated[float, typer.Option(metavar="M", help="From now; 1 to 65.")],
    why: Annotated[str, typer.Option(metavar="TEXT", help="Shown to all; up to 500 characters.")],
    as_json: Json = False,
) -> None:
    """Keep a case that you hold for longer than ten minutes, with a reason. `release` gives it back earlier."""
    from worker.queue.holds import hold_case
    from worker.queue.lookup import find_case

    redis = queue_redis()
    case_id = find_case(redis, case)
    lease = hold_case(redis, acting_person(redis, by), case_id, until_seconds=minutes * 60, why=why)
    _print(case_id, lease, f"is yours until {_until(lease)}", as_json=as_json)


@app.command("hand-over")
def hand_over(
    case: CaseId,
    by: By,
    to: Annotated[str, typer.Option(metavar="NAME", help="The colleague; '' takes the case back.")],
    note: Annotated[str, typer.Option(metavar="TEXT", help="Shown to them; up to 500 characters.")] = "",
    as_json: Json = False,
) -> None:
    """Hand a case that you hold over to a colleague: it stays yours until they take it, and nobody else may.

    It is withdrawn when your lease ends, ten minutes from now, or later after `hold`.
    """
    from worker.queue import holds
    from worker.queue.lookup import find_case

    redis = queue_redis()
    case_id, actor = find_case(redis, case), acting_person(redis, by)
    if to:
        lease = holds.hand_over(redis, actor, case_id, to=to, note=note)
        line = f"waits for {to} until {_until(lease)}, and is yours meanwhile"
    else:
        lease, line = holds.withdraw(redis, actor, case_id), "is handed over to nobody"
    _print(case_id, lease, line, as_json=as_json)


@app.command("ask-help")
def ask_help(
    case: CaseId,
    by: By,
    what: Annotated[str, typer.Argument(metavar="QUESTION", help="Up to 500 characters; '' takes it back.")],
    as_json: Json = False,
) -> None:
    """Show a question about a case that you hold to all in the queue, until the case is decided."""
    from worker.queue import holds
    from worker.queue.lookup import find_case

    redis = queue_redis()
    case_id = find_case(redis, case)
    lease = holds.ask_help(redis, acting_person(redis, by), case_id, what=what)
    _print(case_id, lease, "asks for help" if what.strip() else "asks for nothing", as_json=as_json)


@app.command()
def release(case: CaseId, by: By, as_json: Json = False) -> None:
    """Give back a case that you hold: the next caller of `next` may take it immediately.

    Its events wait for that person. `next` may give it to you again.
    """
    from worker.queue.claims import let_go
    from worker.queue.leases import release as give_back
    from worker.queue.lookup import find_case, find_incident, is_case

    redis = queue_redis()
    if is_case(case):
        case_id, actor = find_case(redis, case), acting_person(redis, by)
        lease = let_go(redis, actor, case_id)
        line = f"is held by {actor.name} no more: {', '.join(lease.incidents)} wait for whoever takes them next"
        _print(case_id, lease, line, as_json=as_json)
        return
    incident_id = find_incident(redis, case)
    given = give_back(redis, incident_id, acting_person(redis, by))
    wait = "1 entry of it waits" if given.entries == 1 else f"{given.entries} entries of it wait"
    line = f"{incident_id} is held by nobody: {wait} for whoever takes it next"
    if given.others:
        line += f"; of the same case also {', '.join(given.others)}"
    record = {"incident_id": incident_id, "released": True, "entries": given.entries, "others": given.others}
    print_result(record, line, as_json=as_json)


@app.command()
def extend(case: CaseId, by: By, as_json: Json = False) -> None:
    """Renew your lease on a case: ten minutes from now.

    Also when your ten minutes are over, as long as nobody else has taken it.
    """
    from worker.events.cloudevent import rfc3339
    from worker.queue.claims import renew as renew_case
    from worker.queue.leases import extend as renew
    from worker.queue.lookup import find_case, find_incident, is_case

    redis = queue_redis()
    if is_case(case):
        case_id = find_case(redis, case)
        held = renew_case(redis, acting_person(redis, by), case_id)
        _print(case_id, held, f"is yours until {_until(held)}", as_json=as_json)
        if held.changed and not as_json:
            typer.echo(
                f"{', '.join(held.changed)} changed since you took the case: `livewarden queue next` shows it again"
            )
        return
    incident_id = find_incident(redis, case)
    lease = renew(redis, incident_id, acting_person(redis, by))
    until = rfc3339(lease.until_ms)
    if as_json:
        record = {"incident_id": incident_id, "lease_until": until, "changed": lease.changed, "others": lease.others}
        print_json(record)
        return
    typer.echo(f"{incident_id} is yours until {until}")
    if lease.others:
        typer.echo(f"of the same case also {', '.join(lease.others)}")
    if lease.changed:
        typer.echo("it has changed since you took it: `livewarden queue next` shows it again")


def _print(case_id: str, lease: "CaseLease", line: str, *, as_json: bool) -> None:
    record: dict[str, Any] = {
        "case_id": case_id,
        "lease_until": _until(lease),
        "incidents": lease.incidents,
        "changed": lease.changed,
        "free": lease.free,
    }
    print_result(record, f"{case_id} {line}", as_json=as_json)


def _until(lease: "CaseLease") -> str | None:
    """None: the person holds nothing of it."""
    from worker.events.cloudevent import rfc3339

    return rfc3339(lease.until_ms) if lease.until_ms else None
