"""`livewarden scan`: the pipeline on a file, a segment or a playlist, without Redis."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.ending import end_where_stuck
from worker.cli.json_lines import print_json
from worker.cli.options import Json, ProfileName, chosen_profile
from worker.runtime.environment import settings_of

if TYPE_CHECKING:
    from sampler.picture import Picture
    from worker.moderation.verdict import SampleVerdict
    from worker.scan.contact_sheet import ContactSheet
    from worker.scan.media_source import Media
    from worker.scan.result import ScanFinding, ScanResult

SEED_BYTES = 16


def scan(
    media: Annotated[str, typer.Argument(metavar="MEDIA_OR_URL", help="A video file, segment or HLS playlist.")],
    as_json: Json = False,
    lists: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of hash lists, NAME.csv each.")] = None,
    contact_sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Write a contact sheet of the samples, grey and blurred.")
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Do not blur the sheet; refused if anything but the test card was found.")
    ] = False,
    profile: ProfileName = None,
) -> None:
    """Moderate MEDIA_OR_URL as a live stream, and report the findings.

    Status 1: there is a finding. Else 2: nothing could be opened, or more than one frame's time is unmoderated. Else 0.
    """
    from config.policy.policy import read_policy
    from sampler.child.decoder import Decoder
    from sampler.limits import Limits
    from worker.bank.lists_in_force import always, open_lists
    from worker.ingest.http.fetch import Fetcher
    from worker.ingest.http.origins import AllowedOrigins
    from worker.moderation.pipeline import Pipeline
    from worker.policyload.checked_policy import read_policy_and_models
    from worker.scan.contact_sheet import ContactSheet
    from worker.scan.media_source import MediaOpener, is_url
    from worker.scan.scan import Scan

    if clear and contact_sheet is None:
        raise typer.BadParameter("goes with --contact-sheet FILE.png", param_hint="--clear")
    settings = settings_of(os.environ)
    policy, classifiers = read_policy_and_models(read_policy(settings.policy_file), settings.policy_file, settings)
    origins = AllowedOrigins.parse(settings.allowed_origins)
    # The user named this host, so it is allowed for this run; hosts that its playlist names are not.
    fetcher = Fetcher(origins.with_named(media) if is_url(media) else origins)
    opener = MediaOpener(fetcher=fetcher, rendition_height_pixels=settings.rendition_height_pixels)
    sheet = None if contact_sheet is None else ContactSheet(clear=clear)
    try:
        opened = opener.open(media)
        in_force = open_lists(settings, lists_dir=lists)
        with Decoder(limits=Limits.for_files()) as decoder:
            pipeline = Pipeline(
                decoder=decoder,
                bank=always(in_force),
                classifiers=classifiers,
                policy=policy,
                profile=chosen_profile(policy, profile),
            )
            pipeline.warm_up(when_stuck=end_where_stuck)
            with _progress(opened) as advance:

                def observe(picture: "Picture", sample: "SampleVerdict") -> None:
                    advance(sample)
                    if sheet is not None:
                        sheet.add(picture, sample)

                result = Scan(
                    pipeline=pipeline,
                    policy=policy,
                    bank=in_force.bank,
                    seed=secrets.token_bytes(SEED_BYTES),
                    observe=observe,
                ).run(opened)
    finally:
        fetcher.close()
    findings = result.findings(policy)
    _print(result, findings, opened.name, as_json=as_json)
    if sheet is not None and contact_sheet is not None:
        _write_sheet(sheet, contact_sheet, result, findings, title=opened.name, clear=clear)
    raise typer.Exit(result.exit_status(findings))


@contextmanager
def _progress(media: "Media") -> "Iterator[Callable[[SampleVerdict], None]]":
    """A progress bar on stderr, if that is a terminal; a file of unknown length gets one that only moves."""
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

    from worker.cli.screen import progress_bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} s of video"),
        TimeElapsedColumn(),
    )
    total_seconds = None if media.extinf_ms is None else media.extinf_ms / 1000
    with progress_bar(*columns, description=escape(Path(media.name).name), total=total_seconds) as update:
        yield lambda sample: update(completed=sample.pts_seconds)


def _print(result: "ScanResult", findings: "Sequence[ScanFinding]", media: str, *, as_json: bool) -> None:
    from worker.cli.screen import Screen
    from worker.scan.report import other_lines, report, unseen_lines

    if not as_json:
        Screen().print(report(result, findings, media))
        return
    records = [result.file_record()] if result.file_matches else []
    records += [result.playlist_record()] if result.not_scanned else []
    records += [sample.to_record() for sample in result.samples]
    records += [finding.to_record() for finding in findings]
    for record in (*records, result.summary()):
        print_json(record)
    for line in (*unseen_lines(result.unseen), *other_lines(result)):
        typer.echo(f"livewarden: {line}", err=True)
    for problem in sorted(result.degraded):
        typer.echo(f"livewarden: degraded: {problem}", err=True)


def _write_sheet(
    sheet: "ContactSheet",
    path: Path,
    result: "ScanResult",
    findings: "Sequence[ScanFinding]",
    *,
    title: str,
    clear: bool,
) -> None:
    from worker.store.local_file import write_file

    refused = clear and not result.only_selftest(findings)
    write_file(path, sheet.png(title, clear=clear and not refused))
    if refused:
        typer.echo(
            f"livewarden: --clear is refused: there are findings beside the test card; {path} is grey and blurred",
            err=True,
        )
