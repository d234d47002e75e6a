"""`livewarden evidence keygen|rotate`: the keys that evidence is sealed to and opened with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.counts import counted
from worker.cli.json_lines import print_result
from worker.cli.options import Json, OwnName, acting_person
from worker.cli.queue_hold import queue_redis, queue_settings

if TYPE_CHECKING:
    from config.settings import Settings
    from worker.audit.segments import Cipher

app = typer.Typer()

NOT_ALL = 3
"""Exit status of a rotation that left items as they were: others hold their keys, or they failed."""


def audit_opener(settings: "Settings") -> "Cipher | None":
    """Opens sealed parts of the audit log with the key of the person who runs the command; None: they have none.

    Raises:
        EvidenceError: the file of LIVEWARDEN_EVIDENCE_IDENTITY is not usable.
    """
    from worker.evidence.sealing import Identity

    return None if settings.evidence_identity is None else Identity.read(settings.evidence_identity).decrypt


@app.command()
def keygen(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A new file for the private key; never overwritten.")],
    as_json: Json = False,
) -> None:
    """Make a key pair: the private key goes into FILE, the public key to standard output.

    Append the public key to the file that LIVEWARDEN_EVIDENCE_RECIPIENTS names, on the workers' hosts. FILE stays with
    the people who judge, and away from workers; keep a copy, for without it what is sealed to it cannot be opened.
    """
    from worker.evidence.key_pair import make_key_pair

    public = make_key_pair(path)
    print_result({"public_key": public, "identity": str(path)}, public, as_json=as_json)


@app.command()
def rotate(
    by: OwnName = None,
    role: Annotated[
        str | None,
        typer.Option("--role", metavar="ROLE", help="Your role, where there is no roster; recorded with what you do."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Seal the stored evidence again, to the recipients of today. For leads.

    Needed once a key was added that must open older evidence, or one removed that must not. Opens what
    LIVEWARDEN_EVIDENCE_IDENTITY can open and seals it to the keys in LIVEWARDEN_EVIDENCE_RECIPIENTS. May be ended at
    any moment and run again: it goes on where it was. Status 3: some items were left as they were.
    """
    from worker.audit.entries import Act, append_entry, audit_entry
    from worker.cli.screen import progress_bar
    from worker.errors import BankRequestError, EvidenceError
    from worker.evidence.reading import EvidenceReader
    from worker.evidence.rotation import Rotation
    from worker.evidence.sealing import Identity, Recipients
    from worker.people.actor import Role
    from worker.store.lease import leased
    from worker.store.redis_keys import EVIDENCE_ROTATION

    settings, redis = queue_settings(), queue_redis()
    actor = acting_person(redis, by, role, unstated_role=Role.LEAD)
    actor.must_be(Role.LEAD, to="seal evidence again")
    if settings.evidence_recipients is None:
        raise EvidenceError("LIVEWARDEN_EVIDENCE_RECIPIENTS: set it to the file of public keys", reason="no-recipients")
    recipients, identity = Recipients.read(settings.evidence_recipients), Identity.of(settings)
    if not set(identity.public_keys) & set(recipients.public_keys):
        typer.echo("your own key is not among the recipients: you will not open this evidence again", err=True)
    with leased(redis, EVIDENCE_ROTATION.name) as lease:
        if lease is None:
            raise BankRequestError("another rotation is running: wait for it")
        entry = audit_entry(
            Act.RESEAL,
            by=actor.name,
            verified=actor.verified,
            subject="evidence",
            recipients=list(recipients.public_keys),
        )
        append_entry(redis, entry)
        with progress_bar(description="incidents", total=None) as update:

            def progress(done: int, total: int) -> None:
                lease.check()
                update(completed=done, total=total)

            rotation = Rotation(reader=EvidenceReader.of(redis, settings), identity=identity, recipients=recipients)
            counts = rotation.run(progress)
    record = {
        "resealed": counts.resealed,
        "already": counts.already,
        "waiting": counts.waiting,
        "not_for_you": counts.not_for_you,
        "failed": counts.failed,
    }
    line = (
        f"{counts.resealed} sealed again to {counted(len(recipients.public_keys), 'key')}; {counts.already} were so "
        f"already, {counts.waiting} must be in the store first (run it again then), {counts.not_for_you} are sealed "
        f"to others, {len(counts.failed)} failed"
    )
    print_result(record, line, as_json=as_json)
    for text in counts.failed:
        typer.echo(f"failed: {text}", err=True)
    if counts.failed or counts.not_for_you or counts.waiting:
        raise typer.Exit(NOT_ALL)
