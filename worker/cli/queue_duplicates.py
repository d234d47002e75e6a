"""`livewarden queue duplicates`: what the hash of a flood alone raised, decided together."""

from typing import Annotated

import typer

from worker.cli.json_lines import print_json
from worker.cli.options import Json, acting_person
from worker.cli.queue_hold import By, IncidentId, queue_redis, queue_settings

app = typer.Typer()


@app.command()
def duplicates(
    incident: IncidentId,
    by: By,
    outcome: Annotated[
        str | None, typer.Argument(metavar="OUTCOME", help="As of `decide`; without it: show which go together.")
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; needed.")] = "",
    category: Annotated[
        str | None, typer.Option(metavar="A1|A2|B1|B2|unseen", help="For csea_apparent and csea_suspected.")
    ] = None,
    ask: Annotated[list[str] | None, typer.Option(metavar="suspend|safeguard", help="Of the platform.")] = None,
    as_json: Json = False,
) -> None:
    """Decide, with one note, the open incidents that the hash of a flood alone raised on single streams. For leads.

    INCIDENT is the flood's own, which is decided with `decide`. What rests on anything else stays open.
    """
    from worker.people.actor import Role
    from worker.queue.duplicates import decide_duplicates, find_duplicates
    from worker.queue.lookup import find_incident

    redis = queue_redis()
    actor = acting_person(redis, by, unstated_role=Role.LEAD)
    incident_id = find_incident(redis, incident)
    if outcome is None:
        found = find_duplicates(redis, incident_id, by=actor.name)
        alike, left, more, verb = tuple(found.alike), found.left, found.more, "go together"
    else:
        done = decide_duplicates(
            redis,
            incident_id,
            outcome,
            by=actor,
            note=note,
            deployment=queue_settings().deployment,
            category=category,
            ask=ask or (),
        )
        alike, left, more = tuple(one.incident_id for one in done.decisions), done.left, done.more
        verb = f"decided: {outcome}"
    if as_json:
        name = "duplicates" if outcome is None else "decided"
        print_json({"incident_id": incident_id, name: alike, "left": dict(left), "more": more})
        return
    typer.echo(f"{len(alike)} {verb}{', and more wait: call again' if more else ''}")
    for one in alike:
        typer.echo(f"  {one}")
    for one, reason in left.items():
        typer.echo(f"  {one} stays open: {reason}")
