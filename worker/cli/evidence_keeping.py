"""`livewarden evidence look|hold|release|holds|purge`: what is added to evidence, and how long it is kept."""

from typing import Annotated

import typer

from config.counts import counted
from worker.cli.json_lines import print_json, print_result
from worker.cli.options import Json, OwnName, acting_person
from worker.cli.queue_hold import IncidentId, queue_redis, queue_settings

app = typer.Typer()

Role = Annotated[
    str | None,
    typer.Option("--role", metavar="ROLE", help="Your role, where there is no roster; recorded with what you do."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, such as a file number; on record.")]


@app.command()
def look(incident: IncidentId, by: OwnName = None, role: Role = None, as_json: Json = False) -> None:
    """Seal a picture of what an incident's stream shows at this moment, and print its reference.

    It is on record before it is done. `livewarden evidence show REF` opens it.
    """
    from worker.queue.looks import ask, wait_for
    from worker.queue.lookup import find_incident

    redis = queue_redis()
    incident_id = find_incident(redis, incident)
    done = wait_for(redis, ask(redis, incident_id, acting_person(redis, by, role)))
    record = {
        "incident_id": incident_id,
        "stream_id": done.stream_id,
        "ref": done.ref,
        "seconds": done.seconds,
    }
    print_result(
        record, f"{done.ref}  what {done.stream_id} showed, sealed within {done.seconds:.1f} s", as_json=as_json
    )


@app.command()
def hold(incident: IncidentId, reason: Reason, by: OwnName = None, role: Role = None, as_json: Json = False) -> None:
    """Place a legal hold on an incident: nothing of it is deleted until a lead releases the hold."""
    from worker.queue.lookup import find_incident
    from worker.retention.holds import hold as place

    redis = queue_redis()
    incident_id = find_incident(redis, incident)
    placed = place(redis, incident_id, acting_person(redis, by, role), reason=reason)
    record = placed.hold.described() | {"pictures": placed.pictures, "being_deleted": placed.being_deleted}
    pictures = counted(placed.pictures, "picture", "stay")
    line = f"{incident_id} is on hold ({placed.hold.hold_id}): {pictures}"
    if placed.being_deleted:
        line += f"; the deletion of {placed.being_deleted} had begun, and those that are still there stay"
    print_result(record, line, as_json=as_json)


@app.command()
def release(
    incident: IncidentId,
    reason: Reason,
    by: OwnName = None,
    role: Role = None,
    hold_id: Annotated[str, typer.Option("--hold", metavar="ID", help="Only this hold of it. Without: all.")] = "",
    as_json: Json = False,
) -> None:
    """Release the legal holds on an incident, as a lead: its term counts again."""
    from worker.people.actor import Role as PersonRole
    from worker.queue.lookup import find_incident
    from worker.retention.holds import release as release_hold

    redis = queue_redis()
    incident_id = find_incident(redis, incident)
    actor = acting_person(redis, by, role, unstated_role=PersonRole.LEAD)
    left = release_hold(redis, incident_id, actor, reason=reason, hold_id=hold_id)
    state = f"{counted(left, 'hold', 'are')} left" if left else "its evidence is deleted when its term is over"
    print_result({"incident_id": incident_id, "holds": left}, f"{incident_id}: {state}", as_json=as_json)


@app.command()
def holds(incident: IncidentId, as_json: Json = False) -> None:
    """List the legal holds on an incident, and the end of its term."""
    from config.policy.policy import load_policy
    from worker.events.cloudevent import rfc3339
    from worker.logs.printable import printable
    from worker.queue.lookup import find_incident
    from worker.retention.holds import holds_on
    from worker.retention.standing import read_known

    redis = queue_redis()
    incident_id = find_incident(redis, incident)
    kept, found = read_known(redis, incident_id), holds_on(redis, incident_id)
    terms = kept.terms(load_policy(queue_settings().policy_file).retention)
    until = None if terms.content_until_ms is None else rfc3339(terms.content_until_ms)
    if as_json:
        term = {"incident_id": incident_id, "pictures": len(kept.records), "kept_until": until, "why": terms.why}
        print_json(term | {"holds": [one.described() for one in found]})
        return
    for one in found:
        typer.echo(printable(f"{one.hold_id}  {one.described()['placed']}  {one.by}: {one.reason}"))
    end = f"kept until {until}" if until else "kept without end"
    typer.echo(f"{counted(len(kept.records), 'picture', 'are')} {end} ({terms.why})")


@app.command()
def purge(
    by: OwnName = None,
    role: Role = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Delete evidence whose term is over: now, not within the hour, as workers do.

    What was deleted, and why, is in the audit log. What is on hold stays.
    """
    from config.policy.policy import load_policy
    from worker.cli.screen import progress_bar
    from worker.evidence.spool import Spool
    from worker.logs.printable import printable
    from worker.people.actor import Role as PersonRole
    from worker.retention.purge import Purge, Purged
    from worker.retention.purge_now import over_now, purge_all, unknown_to_redis
    from worker.store.object_store import ObjectStore

    settings, redis = queue_settings(), queue_redis()
    retention = load_policy(settings.policy_file).retention
    store = ObjectStore(settings.store_url)
    deleted: list[Purged] = []

    def show(one: Purged) -> None:
        deleted.append(one)
        if as_json:
            print_json(one.described() | {"deleted": not dry_run})
        else:
            typer.echo(f"{one.incident_id}  {counted(len(one.refs), 'picture')}  {one.why}")

    if dry_run:
        for one in over_now(redis, retention):
            show(one)
    else:
        actor = acting_person(redis, by, role, unstated_role=PersonRole.LEAD)
        actor.must_be(PersonRole.LEAD, PersonRole.OPERATOR, to="purge evidence")
        work = Purge(
            redis=redis,
            store=store,
            spool=Spool.of(settings),
            retention=retention,
            by=actor,
            done=show,
        )
        with progress_bar(description="checking", total=None) as update:
            purge_all(work, progress=lambda checked: update(description=f"{checked:,} incidents"))
    if not as_json:
        pictures = counted(sum(len(one.refs) for one in deleted), "picture")
        incidents = counted(len(deleted), "incident")
        typer.echo(f"{pictures} of {incidents} {'would be' if dry_run else 'were'} deleted")
        for incident_id in unknown_to_redis(redis, store):
            line = f"{incident_id}  in the store, and unknown to Redis: kept; delete it there by hand"
            typer.echo(printable(line), err=True)
