"""`livewarden queue`: takes, decides and follows incidents, for moderators and their scripts."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.options import Json, acting_person
from worker.cli.queue_case import app as cases
from worker.cli.queue_duplicates import app as duplicates
from worker.cli.queue_hold import By, IncidentId, queue_redis, queue_settings
from worker.cli.queue_hold import app as hold
from worker.cli.queue_list import app as listing
from worker.cli.queue_view import (
    held_lines,
    nothing_text,
    others_text,
    print_incident,
    severity_text,
)

if TYPE_CHECKING:
    from rich.text import Text

app = typer.Typer(no_args_is_help=True, help="Take incidents, decide them, and follow the queue.")

NOTHING_TO_TAKE = 3
"""Exit status of `queue next`."""


@app.command("next")
def next_(
    by: By,
    wait: Annotated[float, typer.Option(metavar="S", min=0, help="Seconds to wait for an incident.")] = 0.0,
    another: Annotated[bool, typer.Option("--another", help="Take one more beside those that you hold.")] = False,
    as_json: Json = False,
) -> None:
    """Take the next incident: live ones first, then critical, high and review, then known material, then the oldest.

    What you hold comes before others that are like it, so that a lost terminal loses nothing; then what was handed over
    to you. A more urgent incident comes before one that you hold, and you hold both. One in four goes to the case that
    is longest past its wait. It is yours for 10 minutes, and so are the other open incidents of its case. Incidents for
    a lead are given to leads. Status 3: there is nothing to take.
    """
    from worker.queue.case_order import LongestWaits
    from worker.queue.claims import take_or_wait
    from worker.queue.open_incidents import open_incidents

    redis = queue_redis()
    actor = acting_person(redis, by)
    waits = LongestWaits.of(queue_settings())
    claim = take_or_wait(redis, actor, wait_seconds=wait, another=another, waits=waits)
    if claim is None:
        typer.echo(nothing_text(actor, open_incidents(redis)), err=True)
        raise typer.Exit(NOTHING_TO_TAKE)
    if as_json:
        typer.echo(claim.event)
        return
    if claim.again:
        typer.echo("you hold this one already\n")
    print_incident(json.loads(claim.event))
    for line in held_lines(claim):
        typer.echo(line)


@app.command()
def decide(
    incident: IncidentId,
    outcome: Annotated[
        str,
        typer.Argument(
            metavar="OUTCOME",
            help="csea_apparent, csea_suspected, child_at_risk, adult_tos, other_harm, harmless or cannot_judge.",
        ),
    ],
    by: By,
    note: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Why; up to 2,000 characters. Needed for a revision, and for harmless where a list is matched.",
        ),
    ] = "",
    revise: Annotated[bool, typer.Option("--revise", help="Change a decision that was wrong.")] = False,
    was: Annotated[
        str | None,
        typer.Option(metavar="OUTCOME", help="With --revise: change it only if this is the present outcome."),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(metavar="A1|A2|B1|B2|unseen", help="Of what you saw; for csea_apparent and csea_suspected."),
    ] = None,
    second: Annotated[
        bool, typer.Option("--second", help="Have a second person judge, who is not shown what you judged.")
    ] = False,
    interrupt: Annotated[
        bool,
        typer.Option(
            "--interrupt",
            help="Ask the platform to interrupt the stream, with csea_suspected or child_at_risk too; csea_apparent "
            "always asks.",
        ),
    ] = False,
    ask: Annotated[
        list[str] | None,
        typer.Option(metavar="suspend|safeguard", help="What the platform is asked to do about the account."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Record your decision, publish it, and close the incident for everybody.

    Where the policy asks for a second person, or you do, your judgement waits: another person judges without knowing
    it, and you hold the incident no more. Both agree, or a lead decides. Status 0, and `waits` with --json.

    With --revise: change the decision, and publish who does so and why. The incident stays closed. After a change to
    anything but harmless, later pictures of the stream raise an incident again. With the same outcome: ask more of the
    platform.
    """
    from worker.cli.queue_judging import print_judgement
    from worker.queue import decisions, revisions
    from worker.queue.answers import Judgement
    from worker.queue.case_order import LongestWaits
    from worker.queue.lookup import find_incident

    if was is not None and not revise:
        raise typer.BadParameter("goes with --revise", param_hint="--was")
    if second and revise:
        raise typer.BadParameter("a revision is one person's: it does not go with --revise", param_hint="--second")
    settings = queue_settings()
    said: dict[str, Any] = {"category": category, "interrupt": interrupt, "ask": ask or ()}
    redis = queue_redis()
    actor = acting_person(redis, by)
    incident_id = find_incident(redis, incident)
    if revise:
        decision = revisions.revise(
            redis, incident_id, outcome, by=actor, note=note, deployment=settings.deployment, was=was, **said
        )
    else:
        done = decisions.decide_incident(
            redis,
            incident_id,
            outcome,
            by=actor,
            note=note,
            deployment=settings.deployment,
            second=second,
            waits=LongestWaits.of(settings),
            **said,
        )
        if isinstance(done, Judgement):
            print_judgement(done, as_json=as_json)
            return
        decision = done
    if as_json:
        typer.echo(decision.event)
    else:
        before = "" if decision.previous is None else f", was {decision.previous}"
        typer.echo(f"{decision.incident_id} on {decision.stream_id} ({decision.rule}): {decision.outcome}{before}")
        if decision.interrupted:
            typer.echo("the platform is asked to interrupt the stream")


@app.command()
def watch(
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest event that is kept.")] = False,
    as_json: Json = False,
) -> None:
    """Follow published events, without taking incidents, until Ctrl-C."""
    from worker.cli.screen import Screen
    from worker.queue.queue_entries import follow

    console = Screen()
    try:
        for entry in follow(queue_redis(), from_start=from_start):
            if as_json:
                typer.echo(entry.event)
            else:
                console.print(_row(json.loads(entry.event)))
    except KeyboardInterrupt:
        return


app.registered_commands += [
    *listing.registered_commands,
    *cases.registered_commands,
    *hold.registered_commands,
    *duplicates.registered_commands,
]


def _row(event: dict[str, Any]) -> "Text":
    """One line of `watch`: time, severity, event, incident, stream, rule."""
    from rich.text import Text

    from worker.cli.screen import badge

    data = event["data"]
    name = event["type"].removeprefix("livewarden.escalation.").removesuffix(".v1")
    if "outcome" in data:
        name = f"{name}: {data['outcome']}"
    return Text("  ").join(
        [
            Text(data["times"]["published"], style="dim"),
            severity_text(data["severity"]),
            Text(f"{name:<8}"),
            Text(data["incident_id"]),
            Text(data["stream_id"]) + others_text(data.get("streams_total", 1)) + badge(data["purpose"]),
            Text(data["rule"]),
        ]
    )
