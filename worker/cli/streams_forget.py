"""`livewarden streams forget`: erases a stream's data."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from config.counts import counted
from worker.cli.evidence_keeping import Role
from worker.cli.json_lines import print_json
from worker.cli.options import Json, OwnName, acting_person
from worker.cli.queue_hold import queue_redis, queue_settings

if TYPE_CHECKING:
    from worker.retention.forget import Erasure

app = typer.Typer()

PAUSE_SECONDS = 0.5
"""Interval in which the state of an erasure is read that waits, or that a worker goes on with."""


@app.command()
def forget(
    stream_id: Annotated[str, typer.Argument(metavar="ID", help="A stream that is not watched any more.")],
    by: OwnName = None,
    role: Role = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say whether it may be erased, and what there is; erase nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Erase a stream's data: record, coverage, incidents, evidence, events, and rows of the verdict log.

    Refused while it is watched, or anything of it is undecided, on hold, to be reported, or under a report's term. It
    takes half a minute, and workers go on with it if this command ends. The audit log keeps that it was done.
    """
    from functools import partial

    from config.policy.policy import load_policy
    from worker.cli.screen import progress_bar
    from worker.errors import RetentionError
    from worker.evidence.spool import Spool
    from worker.ingest.registry.registration import check_stream_id
    from worker.people.actor import Role as PersonRole
    from worker.retention.erasure_plan import plan_erasure
    from worker.retention.forget import ErasureWork, begin_erasure, erasures, go_on
    from worker.retention.purge import Purge
    from worker.store.object_store import ObjectStore
    from worker.verdictlog.erasure import erase_stream

    settings, redis = queue_settings(), queue_redis()
    retention = load_policy(settings.policy_file).retention
    checked = check_stream_id(stream_id)
    if dry_run:
        plan = plan_erasure(redis, checked, retention)
        obstacles = [*(["it is watched"] if plan.watched else []), *plan.obstacles]
        if not plan.known:
            raise RetentionError(f"stream_id: {checked}: nothing of it is on record")
        pictures = sum(len(kept.records) for kept in plan.incidents)
        if as_json:
            found = {"stream_id": checked, "incidents": len(plan.incidents), "pictures": pictures}
            print_json(found | {"obstacles": obstacles})
            return
        typer.echo(f"{counted(len(plan.incidents), 'incident')} with {counted(pictures, 'picture')}")
        for obstacle in obstacles:
            typer.echo(f"stays: {obstacle}")
        return
    actor = acting_person(redis, by, role, unstated_role=PersonRole.LEAD)
    begin_erasure(redis, checked, actor, retention=retention)
    store = ObjectStore(settings.store_url)
    work = ErasureWork(
        purge=Purge(redis=redis, store=store, spool=Spool.of(settings), retention=retention),
        erase_log=partial(erase_stream, redis, store),
    )
    done: Erasure | None = None
    with progress_bar(description="erasing", total=None) as update:
        while done is None:
            done = next((one for one in go_on(work) if one.stream_id == checked), None)
            left = next((one for one in erasures(redis) if one.stream_id == checked), None)
            if done is None and left is None:
                break  # a worker has ended it
            if done is None and left is not None:
                update(description=f"erasing: {left.step}")
                time.sleep(PAUSE_SECONDS)
    if as_json:
        print_json({"stream_id": checked, "erased": True} | ({} if done is None else _counts(done)))
        return
    if done is None:
        typer.echo(f"{checked} is erased; the audit log has the counts")
        return
    typer.echo(
        f"{checked} is erased: {counted(len(done.incidents), 'incident')}, {counted(done.pictures, 'picture')}, "
        f"{counted(done.events, 'event')}, {counted(done.rows, 'row')} of the verdict log"
    )
    if done.events_waiting:
        waiting = counted(done.events_waiting, "event", "stay")
        typer.echo(f"{waiting} until readers have acknowledged them, at most for 30 days")


def _counts(done: "Erasure") -> dict[str, int]:
    return {
        "incidents": len(done.incidents),
        "pictures": done.pictures,
        "events": done.events,
        "events_waiting": done.events_waiting,
        "rows": done.rows,
    }
