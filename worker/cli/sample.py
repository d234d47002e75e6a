"""`livewarden sample`: the pictures that the sampler takes from a file, and why."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.counts import counted
from worker.cli.json_lines import print_json
from worker.cli.options import Json, ProfileName, chosen_profile
from worker.runtime.environment import settings_of

if TYPE_CHECKING:
    from sampler.frames import SampledFrame, SampledSegment


def sample(
    media: Annotated[Path, typer.Argument(metavar="MEDIA", help="A segment or video file.")],
    profile: ProfileName = None,
    as_json: Json = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw packet sizes, keyframes and the pictures taken.")
    ] = None,
) -> None:
    """Print the sampling plan of MEDIA as it was executed: one line a picture, then a summary.

    Status 2 if MEDIA cannot be decoded.
    """
    import secrets
    from time import process_time

    from config.policy.policy import load_policy
    from sampler.child.decoder import Decoder
    from sampler.errors import SamplerError
    from sampler.limits import Limits
    from worker.errors import ScanError
    from worker.scan.packet_plot import packet_plot
    from worker.store.local_file import open_media, write_file

    chosen = chosen_profile(load_policy(settings_of(os.environ).policy_file), profile)
    records: list[dict[str, Any]] = []
    taken = []

    def keep(frame: "SampledFrame") -> None:
        records.append(_record(frame))
        taken.append((frame.pts_seconds, frame.reason))

    started = process_time()
    with Decoder(limits=Limits.for_files()) as decoder, open_media(media) as file:
        try:
            segment = decoder.sample(
                file, profile=chosen, seed=secrets.token_bytes(16), packets=plot is not None, consume=keep
            )
        except SamplerError as error:
            raise ScanError(f"{media}: {error}") from error
    cpu = {stage: segment.cpu_seconds[stage] for stage in ("demux", "decode")}
    summary = _summary(segment, len(records), cpu | {"total": process_time() - started + sum(cpu.values())})
    records.sort(key=lambda record: record["pts_seconds"])
    if as_json:
        print_json(*records, summary)
    else:
        _print_table(records, summary)
    if plot is not None:
        title = f"{media.name}, profile {chosen.name}"
        write_file(plot, packet_plot(segment.packets, taken, duration_seconds=segment.duration_seconds, title=title))


def _record(frame: "SampledFrame") -> dict[str, Any]:
    return {
        "type": "sample",
        "pts_seconds": round(frame.pts_seconds, 6),
        "reason": str(frame.reason),
        "keyframe": frame.keyframe,
        "width": frame.picture.width,
        "height": frame.picture.height,
        **({"track": frame.track} if frame.track else {}),
    }


def _unmoderated(segment: "SampledSegment") -> dict[str, float]:
    """Unmoderated seconds by reason."""
    seconds: dict[str, float] = {}
    for stretch in segment.unmoderated:
        seconds[stretch.reason] = seconds.get(stretch.reason, 0.0) + stretch.seconds
    return {reason: round(total, 6) for reason, total in sorted(seconds.items())}


def _summary(segment: "SampledSegment", samples: int, cpu_seconds: dict[str, float]) -> dict[str, Any]:
    return {
        "type": "summary",
        "duration_seconds": round(segment.duration_seconds, 6),
        "unmoderated_seconds": round(sum((stretch.seconds for stretch in segment.unmoderated), 0.0), 6),
        "unmoderated": _unmoderated(segment),
        "notes": list(segment.notes),
        "frames_total": segment.frames_total,
        "frames_decoded": segment.frames_decoded,
        "samples": samples,
        "max_gap_seconds": round(segment.max_gap_seconds, 6),
        "cpu_seconds": {stage: round(seconds, 6) for stage, seconds in cpu_seconds.items()},
    }


def _print_table(records: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    from rich.text import Text

    from worker.cli.screen import Screen
    from worker.tables.lines import blocks
    from worker.tables.listing import Listing, fixed, numbers

    table = Listing(numbers("at"), fixed("reason"), fixed("keyframe"), numbers("size"), title="Pictures taken")
    for record in records:
        size = f"{record['width']}×{record['height']}"
        table.add(f"{record['pts_seconds']:.3f} s", record["reason"], "yes" if record["keyframe"] else "", size)
    share = summary["frames_decoded"] / summary["frames_total"]
    line = (
        f"{counted(summary['samples'], 'picture')} of {summary['duration_seconds']:.2f} s, at most "
        f"{summary['max_gap_seconds']:.2f} s apart; {summary['frames_decoded']:,} of "
        f"{counted(summary['frames_total'], 'frame')} decoded ({share:.0%}); CPU "
        f"{summary['cpu_seconds']['total']:.3f} s"
    )
    lost = ", ".join(f"{seconds:.2f} s {reason}" for reason, seconds in summary["unmoderated"].items())
    notes = ", ".join(summary["notes"])
    more = [Text(f"{name}: {text}") for name, text in (("unmoderated", lost), ("notes", notes)) if text]
    Screen().print(blocks(table, Text(line), *more))
