"""Output of `livewarden streams` for people."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from worker.cli.screen import badge
from worker.tables.field_table import FieldTable
from worker.tables.listing import Listing, fixed, ids, numbers, texts


def stream_listing(records: Sequence[Mapping[str, Any]]) -> Listing:
    """All streams, as `worker.ingest.status.stream_statuses` returns them."""
    table = Listing(
        ids("stream"),
        texts("state"),
        *map(numbers, ("risk", "elapsed", "moderated", "not seen", "pending", "lag", "polled")),
        left_out_first=("pending", "polled", "elapsed", "moderated", "risk", "lag", "not seen"),
    )
    for record in records:
        unseen = record["skipped_seconds"] + record["failed_seconds"] + record["missed_seconds"]
        table.add(
            Text(record["stream_id"]) + badge(record["purpose"]),
            _state(record),
            f"{record['risk']['value']:.2f}",
            f"{record['elapsed_seconds']:.0f} s",
            f"{record['moderated_seconds']:.0f} s",
            Text(f"{unseen:.0f} s", "yellow" if unseen else ""),
            f"{record['pending_seconds']:.0f} s",
            "" if record["lag_seconds"] is None else f"{record['lag_seconds']:.1f} s",
            _ago(record["last_polled_seconds_ago"]),
        )
    return table


def _state(record: Mapping[str, Any]) -> Text:
    state = Text(f"{record['state']} {record['reason']}".strip())
    if record["unwatched_since"] is not None:
        to_the_minute = record["unwatched_since"][:16].replace("T", " ")
        state.append(f" unwatched since {to_the_minute}", "bold red")
    if record["damaged"]:
        state.append(" damaged", "bold red")
    return state


def stream_table(record: Mapping[str, Any]) -> FieldTable:
    """One stream, as `worker.ingest.status.stream_status` returns it."""
    table = FieldTable(title=record["stream_id"])
    for name in ("state", "reason", "url", "purpose", "audience", "risk_prior", "generation", "epoch", "still"):
        if record[name] != "":
            table.add(name.replace("_", " "), str(record[name]))
    for name, value in record.items():
        if name.endswith("_seconds") and value is not None:
            table.add(name.removesuffix("_seconds"), Text(_seconds(value), "bold" if value else "dim"))
    for reason, seconds in record["reasons"].items():
        table.add(f"  {reason}", Text(_seconds(seconds), "yellow"))
    if record["provisional"] is not None:
        since = _utc(record["provisional"]["since_ms"])
        table.add(f"  {record['provisional']['reason']} since", Text(f"{since} UTC", "yellow"))
    table.add("last polled", _ago(record["last_polled_seconds_ago"]))
    if record["unwatched_since"] is not None:
        table.add("unwatched", Text(f"since {record['unwatched_since']}: it is not polled", "bold red"))
    for part in record["slow"]:
        table.add("slow", Text(f"{part}: shares a quarter of the processes", "yellow"))
    for key in record["damaged"]:
        table.add("damaged", Text(f"{key}: of the wrong type", "bold red"))
    for problem in record["degraded"]:
        table.add("degraded", Text(problem, "yellow"))
    audits, failed = (record["counts"].get(name, 0) for name in ("rendition_audits", "rendition_audits_failed"))
    if audits or failed:
        table.add("rendition audits", f"{audits}, and {failed} that could not be had")
    if others := record["counts"].get("other_videos", 0):
        table.add("other videos", Text(f"{others}, not watched: players may show them instead", "yellow"))
    table.add("risk", Text(f"{record['risk']['value']:.2f}", "bold"))
    for part in record["risk"]["parts"]:
        table.add(f"  {_part_name(part)}", _part(part))
    for name, number in record["signals"].items():
        reported = record["signals_reported"].get(name)
        table.add(f"signal {name}", f"{number:g}" + ("" if reported is None else f", reported {reported}"))
    for model, score in record["last_scores"].items():
        table.add(model, f"{score:.3f}")
    return table


_OF_DECISION = "decision"


def _part_name(part: Mapping[str, Any]) -> str:
    return f"decision {part['name'][:8]}" if part["source"] == _OF_DECISION else str(part["name"])


def _part(part: Mapping[str, Any]) -> str:
    """A part of the risk: what it adds, and why."""
    given = part["given"] if isinstance(part["given"], str) else f"{part['given']:g}"
    shown = f"{part['part']:.2f}: {given}, weight {part['weight']:g}"
    if part["half_life_seconds"] is not None:
        age = "" if part["age_seconds"] is None else f"{_duration(part['age_seconds'])} ago, "
        shown += f", {age}halves in {_duration(part['half_life_seconds'])}"
    return shown


def _duration(seconds: float) -> str:
    for unit, unit_seconds in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= unit_seconds:
            return f"{seconds / unit_seconds:.3g} {unit}"
    return f"{seconds:.0f} s"


def refused_listing(records: Sequence[Mapping[str, Any]]) -> Listing:
    """Refused messages, the newest first."""
    table = Listing(
        fixed("when (UTC)"),
        ids("reason"),
        texts("problem"),
        texts("task"),
        ids("stream"),
        texts("sent by"),
        numbers("size"),
        left_out_first=("size", "sent by", "task"),
    )
    for record in records:
        shown = record["shown"]
        table.add(
            _utc(record["at_ms"]),
            str(record["reason"]),
            str(record["problem"]),
            str(shown.get("task", shown.get("head", ""))),
            str(shown.get("stream_id", "")),
            str(shown.get("origin", "")),
            f"{record['size_bytes']:,} B",
        )
    return table


def _utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _seconds(value: float) -> str:
    return f"{value:10.1f} s"


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s ago"
