"""Output of `livewarden models` for people. Texts of a manifest are data, never markup."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from worker.logs.printable import printable

if TYPE_CHECKING:
    from rich.text import Text

    from models.classifiers.package import ModelPackage


def print_list(records: Sequence[Mapping[str, Any]]) -> None:
    """Prints all models in a table, and below it the unusable manifests."""
    from rich.text import Text

    from worker.cli.screen import Screen
    from worker.tables.listing import Listing, fixed, ids, texts

    table = Listing(
        ids("model"),
        texts("version"),
        texts("from"),
        texts("runs"),
        fixed("weights"),
        texts("scores"),
        left_out_first=("from", "version"),
    )
    for record in records:
        if record["ok"]:
            table.add(*_list_row(record))
    console = Screen()
    console.print(table)
    for record in records:
        if not record["ok"]:
            console.print(Text(verify_line(record), style="bold red"))


def _list_row(record: Mapping[str, Any]) -> "list[str | Text]":
    from rich.text import Text

    origin, runs = Text(printable(record["from"])), Text(printable(plain(record["runs"])))
    if record["replaces"] is not None:
        origin.append(f"\nreplaces that from {printable(record['replaces'])}", style="dim")
    if record["use"] == "shadow":
        runs.append("\nshadow rules only", style="dim")
    if any(label["category"] == "minor" for label in record["labels"]):
        runs.append("\nonly where a cascade condition holds", style="dim")
    needed = record["weights"] != "there" and record["runs"] != "no"
    return [
        record["name"],
        record["version"],
        origin,
        runs,
        Text(record["weights"], style="bold red" if needed else ""),
        Text("\n".join(f"{label['score']} ({label['category']})" for label in record["labels"])),
    ]


def verify_line(record: Mapping[str, Any]) -> str:
    """The result for one model, in a line."""
    if record["name"] is None:
        return printable(f"not usable: {record['problem']}")
    name = f"{record['name']} {record['version']}"
    if not record["ok"]:
        return printable(f"{name}: {record['problem']}")
    return printable(
        f"{name}: ok, runs on {record['provider']}, {record['seconds']:.3f} s for a picture, "
        f"limit {record['time_limit_seconds']:g} s"
    )


def print_benched(records: Sequence[Mapping[str, Any]]) -> None:
    """Prints the cost of a picture for each model."""
    from worker.cli.screen import Screen
    from worker.tables.listing import Listing, ids, numbers

    table = Listing(ids("model"), *map(numbers, ("picture", "network", "in all", "ratio", "a second")))
    for record in records:
        table.add(
            record["name"],
            record["size"],
            f"{record['run_ms']:.2f} ms",
            f"{record['picture_ms']:.2f} ms",
            f"{record['ratio']:.2f}",
            f"{record['pictures_per_second']:.0f}",
        )
    Screen().print(table)


def print_explained(package: "ModelPackage", record: Mapping[str, Any]) -> None:
    """Prints all fields of a manifest, and the scores of a picture if one was given."""
    from rich.text import Text

    from worker.cli.model_report import picture_steps
    from worker.cli.screen import Screen

    def show(*parts: str | tuple[str, str]) -> None:
        console.print(Text.assemble(*parts))

    def points(title: str, lines: Sequence[str]) -> None:
        show((title, "bold"))
        for line in lines:
            show(f"  - {_one_line(line)}")

    console = Screen()
    manifest = package.manifest
    replaced = "" if package.replaces is None else f", replaces that from {package.replaces}"
    show((_one_line(f"{manifest.name} {manifest.version}"), "bold"), _one_line(f" from {package.origin}{replaced}"))
    show(_one_line(f"runs: {plain(record['runs'])}; weights: {record['weights']}"))
    show(_one_line(f"licence: {manifest.licence}"))
    show(_one_line(f"source: {manifest.source}"))
    points("intended use", manifest.intended_use)
    points("validated for", manifest.validated_for)
    points("known limits", manifest.known_limits)
    points("preprocessing", picture_steps(manifest))
    points("scores", [f"{label['score']}: {label['category']}" for label in record["labels"]])
    for name, score in record.get("scores", {}).items():
        show(f"{name} = {score:.4f}")


def plain(when: str) -> str:
    """The condition under which a model runs, for people."""
    return {"always": "every picture"}.get(when, when)


def _one_line(text: str) -> str:
    """The text without the line breaks of a manifest, its indentation kept."""
    leading = text[: len(text) - len(text.lstrip())]
    return leading + printable(" ".join(text.split()))
