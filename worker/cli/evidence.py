"""`livewarden evidence list|show|export`: the sealed pictures behind incidents, for the people who judge them."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.evidence_keeping import app as keeping
from worker.cli.evidence_keys import app as keys
from worker.cli.json_lines import print_json, print_result
from worker.cli.options import Json, OwnName, acting_person
from worker.cli.queue_hold import IncidentId, queue_redis, queue_settings

if TYPE_CHECKING:
    from worker.evidence.record import EvidenceRecord, ItemState
    from worker.people.actor import Actor

app = typer.Typer(no_args_is_help=True, help="The sealed pictures behind incidents: keys, lists, views and exports.")
app.registered_commands += keys.registered_commands
app.registered_commands += keeping.registered_commands

STDOUT = Path("-")
NOT_ALL = 3
"""Exit status of an export that lacks items."""

InRole = Annotated[
    str | None,
    typer.Option("--role", metavar="ROLE", help="Your role, where there is no roster; recorded with what you do."),
]


@app.command("list")
def list_(incident: IncidentId, as_json: Json = False) -> None:
    """Show the pictures that are kept of an incident: when, why, and where they are. No picture is opened."""
    from worker.evidence.item_states import records_of, states_of
    from worker.queue.lookup import find_incident
    from worker.retention.standing import read_known
    from worker.store.redis_client import store_errors

    redis = queue_redis()
    incident_id = find_incident(redis, incident)
    records = records_of(redis, incident_id)
    if not records:
        read_known(redis, incident_id)
    with store_errors():
        states = states_of(redis, [record.ref for record in records])
    if as_json:
        print_json(*(_listed(incident_id, record, states.get(record.ref)) for record in records))
    elif records:
        _print_list(records, states)
    else:
        typer.echo("no evidence is kept of this incident: it was purged, or `livewarden queue show` says why")


@app.command()
def show(
    ref: Annotated[str, typer.Argument(metavar="REF", help="Reference of the picture, as `evidence list` shows it.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.png", help="Where it is written; - is standard output.")],
    by: OwnName = None,
    clear: Annotated[bool, typer.Option("--clear", help="As it is, not grey and blurred. Needs a reason.")] = False,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why it must be seen clearly; goes into the audit log.")
    ] = "",
    role: InRole = None,
    as_json: Json = False,
) -> None:
    """Write one picture, grey and blurred, for people who have to judge it.

    Each view is in the audit log before the picture is written. LIVEWARDEN_EVIDENCE_IDENTITY names the file of your
    private key.
    """
    from worker.audit.entries import Act, Shown, append_entry, audit_entry
    from worker.errors import EvidenceError
    from worker.evidence.picture import to_png
    from worker.evidence.reading import EvidenceReader
    from worker.evidence.sealing import Identity
    from worker.people.actor import Role
    from worker.queue.lookup import expect_role
    from worker.store.local_file import expect_private, write_private_file

    if clear and not reason.strip():
        reason = _asked_reason()
    if not clear and reason:
        raise typer.BadParameter("goes with --clear", param_hint="--reason")
    if out != STDOUT and out.suffix.lower() != ".png":
        raise typer.BadParameter(f"{out}: expected a name that ends in .png, or -", param_hint="--out")
    if out == STDOUT and as_json:
        raise typer.BadParameter("goes with a file: standard output has the picture", param_hint="--json")
    settings, redis = queue_settings(), queue_redis()
    actor = acting_person(redis, by, role)
    actor.must_be(Role.MODERATOR, Role.LEAD, to="see evidence")
    found, head, jpeg = EvidenceReader.of(redis, settings).open(ref, Identity.of(settings))
    expect_role(redis, found.incident, actor, act="see evidence")
    try:
        png = to_png(jpeg, clear=clear)
    except EvidenceError as error:
        raise EvidenceError(f"item {ref}: {error}", reason=error.reason) from None
    if out != STDOUT:
        expect_private(out)
    details: dict[str, Any] = {"incident": found.incident, "stream": head.stream_id, "shown": Shown.BLURRED}
    if clear:
        details |= {"shown": Shown.CLEAR, "reason": reason.strip()}
    # Before the picture is written: a view that is on no record must not happen.
    append_entry(redis, audit_entry(Act.VIEW, by=actor.name, verified=actor.verified, subject=ref, **details))
    if out == STDOUT:
        assert sys.__stdout__ is not None
        sys.__stdout__.buffer.write(png)
        sys.__stdout__.buffer.flush()
        return
    write_private_file(out, png)
    record = {"ref": ref, "incident_id": found.incident, "out": str(out), "clear": clear, "bytes": len(png)}
    line = f"{out}: clear; delete it when you have judged it" if clear else f"{out}: grey and blurred"
    print_result(record, line, as_json=as_json)


@app.command()
def export(
    incident: IncidentId,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="A new or empty folder.")],
    by: OwnName = None,
    role: InRole = None,
    as_json: Json = False,
) -> None:
    """Write an incident's sealed files, as they are, with a manifest of digests. For leads.

    Nothing is opened: whoever holds a key opens them with the standard tool `age`. Status 3: some are missing, which
    the manifest names.
    """
    from worker.audit.entries import Act, append_entry, audit_entry
    from worker.events.cloudevent import rfc3339
    from worker.evidence.export import export_incident
    from worker.evidence.reading import EvidenceReader
    from worker.people.actor import Role
    from worker.queue.lookup import find_incident
    from worker.store.redis_client import now_ms, store_errors

    settings, redis = queue_settings(), queue_redis()
    actor: Actor = acting_person(redis, by, role, unstated_role=Role.LEAD)
    actor.must_be(Role.LEAD, to="export evidence")
    incident_id = find_incident(redis, incident)

    def record_act(manifest_sha256: str, items: int) -> None:
        details: dict[str, Any] = {"items": items, "manifest_sha256": manifest_sha256, "folder": str(out)}
        entry = audit_entry(Act.EXPORT, by=actor.name, verified=actor.verified, subject=incident_id, **details)
        append_entry(redis, entry)

    with store_errors():
        at = rfc3339(now_ms(redis))
    done = export_incident(
        EvidenceReader.of(redis, settings),
        incident_id,
        out,
        facts={"deployment": settings.deployment, "exported_by": actor.name, "exported": at},
        record_act=record_act,
    )
    record = {"incident_id": incident_id, "out": str(out), "items": done.files, "missing": list(done.missing)}
    line = f"{out}: {done.files} sealed, {len(done.missing)} missing"
    print_result(record | {"manifest_sha256": done.manifest_sha256}, line, as_json=as_json)
    for text in done.missing:
        typer.echo(f"missing: {text}", err=True)
    if done.missing:
        raise typer.Exit(NOT_ALL)


def _asked_reason() -> str:
    """The reason for a clear view, from a person at a terminal; anywhere else it has to be given."""
    given = ""
    if os.isatty(0):
        given = typer.prompt("Why must it be seen clearly (goes into the audit log)", err=True, default="").strip()
    if not given:
        raise typer.BadParameter("say why the picture must be seen clearly", param_hint="--reason")
    return given


def _listed(incident_id: str, record: "EvidenceRecord", state: "ItemState | None") -> dict[str, Any]:
    from worker.events.cloudevent import rfc3339

    return {
        "incident_id": incident_id,
        **record.to_event(),
        "captured": rfc3339(record.capture_ms),
        "stream_id": record.stream_id,
        "segment": record.segment,
        "pts_seconds": record.pts_seconds,
        "rule": record.rule,
        "severity": record.severity,
        "score": record.score,
        "distance": record.distance,
        "bytes": record.size_bytes,
        "named": record.named,
        "former_sha256": list(record.former_sha256),
        "place": _place(state),
    }


def _place(state: "ItemState | None") -> str:
    return "waiting" if state is None else state.place or "waiting"


def _print_list(records: "list[EvidenceRecord]", states: "dict[str, ItemState]") -> None:
    from worker.cli.screen import Screen
    from worker.events.cloudevent import rfc3339
    from worker.tables.listing import Listing, fixed, ids, numbers, texts

    table = Listing(
        ids("reference"),
        fixed("kind"),
        fixed("captured"),
        texts("rule"),
        numbers("score"),
        numbers("distance"),
        numbers("kB"),
        fixed("place"),
        left_out_first=("kB", "distance", "score", "rule"),
    )
    for record in records:
        table.add(
            record.ref,
            str(record.kind),
            rfc3339(record.capture_ms),
            record.rule,
            f"{record.score:.3f}" if record.score else "",
            "" if record.distance is None else str(record.distance),
            f"{record.size_bytes / 1000:.0f}",
            _place(states.get(record.ref)),
        )
    Screen().print(table)
