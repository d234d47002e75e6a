"""`livewarden models`: which classifiers there are, whether they are what they should be, and what they cost."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.ending import end_where_stuck
from worker.cli.options import Json

if TYPE_CHECKING:
    from rich.table import Table

    from config.policy import Policy
    from models.classifier import Classifier
    from models.package import ModelPackage

app = typer.Typer(no_args_is_help=True, help="Classifiers: which there are, what they are, and what they cost.")

NOT_OK = 1
"""Exit status of `verify` where a model is not what its manifest says."""

BENCH_SIZES = ((1280, 720), (640, 360))
"""Pixels: what is streamed, and what livewarden watches of it by default."""

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL…]", help="Names, or paths of manifests; default: the models that run."),
]


class _Known:
    """The models that there are, and those that the policy in force lets run."""

    def __init__(self) -> None:
        from config.policy import load_policy
        from config.settings import Settings
        from models.manifest import Provider
        from models.shelf import known_packages

        settings = Settings.from_mapping(os.environ)
        self.policy: Policy = load_policy(settings.policy_file)
        self.packages: dict[str, ModelPackage] = known_packages(settings.manifests_dir)
        self._provider = Provider(settings.provider)

    def active(self) -> "dict[str, Classifier]":
        """Those that run; unverified, so that one that is broken can be told of too."""
        from models.classifier import Classifier
        from models.shelf import chosen_packages

        names = None if self.policy.cascade is None else [stage.model for stage in self.policy.cascade]
        chosen = chosen_packages(self.packages, names)
        return {package.manifest.name: Classifier(package, provider=self._provider) for package in chosen}

    def classifiers(self, names: Sequence[str] | None) -> "list[Classifier]":
        """Those that a person named; none named: those that run."""
        from models.classifier import Classifier

        if not names:
            return list(self.active().values())
        return [Classifier(self.package(name), provider=self._provider) for name in names]

    def package(self, name: str) -> "ModelPackage":
        """By name, or by the path of its manifest."""
        from models.errors import ManifestError
        from models.package import read_package

        if name in self.packages:
            return self.packages[name]
        if name.endswith((".yaml", ".yml")):
            return read_package(Path(name), origin=str(Path(name).parent))
        raise ManifestError(f"no classifier has the name {name!r}: known are {', '.join(self.packages)}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show all classifiers: where they are from, what they score, and on which pictures they run."""
    from worker.modelreport import list_record, runs

    known = _Known()
    active = known.active()
    order = {name: place for place, name in enumerate(active)}
    packages = sorted(known.packages.values(), key=lambda one: order.get(one.manifest.name, len(order)))
    records = [list_record(package, runs(package, active, known.policy.cascade)) for package in packages]
    if as_json:
        _print_json(records)
        return
    table = _table("model", "version", "from", "runs", "weights", "scores")
    for record in records:
        scores = "\n".join(f"{label['score']} ({label['category']})" for label in record["labels"])
        use = "\n[dim]shadow rules only[/]" if record["use"] == "shadow" else ""
        missing = record["weights"] == "missing" and record["runs"] != "no"
        weights = f"[bold red]{record['weights']}[/]" if missing else record["weights"]
        table.add_row(record["name"], record["version"], record["from"], _plain(record["runs"]) + use, weights, scores)
    _print_table(table)


@app.command()
def verify(models: Names = None, as_json: Json = False) -> None:
    """Check digests, compare manifests with graphs, and let each model look at a black picture.

    Status 1: a model is not what its manifest says.
    """
    from worker.modelreport import verify_record

    records = [verify_record(classifier, when_stuck=end_where_stuck) for classifier in _Known().classifiers(models)]
    if as_json:
        _print_json(records)
    else:
        for record in records:
            told = f"ok, runs on {record['provider']}" if record["ok"] else record["problem"]
            typer.echo(f"{record['name']} {record['version']}: {told}")
    if not all(record["ok"] for record in records):
        raise typer.Exit(NOT_OK)


@app.command()
def bench(
    models: Names = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 30,
    as_json: Json = False,
) -> None:
    """Measure what models take for a picture, beside the bare run of the network."""
    from worker.modelreport import time_model

    classifiers = _Known().classifiers(models)
    table = _table("model", "picture", "network ms", "in all ms", "ratio", "a second")
    with _progress(len(classifiers) * len(BENCH_SIZES)) as advance:
        for classifier in classifiers:
            classifier.prepare(when_stuck=end_where_stuck)
            for width, height in BENCH_SIZES:
                record = {"name": classifier.name} | time_model(
                    classifier, width=width, height=height, rounds=rounds
                ).to_record()
                advance()
                if as_json:
                    _print_json([record])
                table.add_row(
                    record["name"],
                    record["size"],
                    f"{record['run_ms']:.2f}",
                    f"{record['picture_ms']:.2f}",
                    f"{record['ratio']:.2f}",
                    f"{record['pictures_per_second']:.0f}",
                )
    if not as_json:
        _print_table(table)


@app.command()
def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its name, or the path of its manifest.")],
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Let it look at a picture, and print its scores.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a model is for, what it was measured on, what it cannot do, and how a picture comes to it."""
    from worker.modelreport import explain_record, runs

    known = _Known()
    package = known.package(model)
    record = explain_record(package, runs(package, known.active(), known.policy.cascade))
    if picture is not None:
        record["scores"] = _scores_of(known.classifiers([model])[0], picture)
    if as_json:
        _print_json([record])
    else:
        _print_explained(package, record)


def _scores_of(classifier: "Classifier", path: Path) -> dict[str, float]:
    """The picture goes through the decoder child, as from a stream."""
    from sampler.decoder import Decoder
    from sampler.limits import Limits
    from worker.localfile import read_file

    limits = Limits()
    classifier.prepare(when_stuck=end_where_stuck)
    with Decoder(limits=limits) as decoder:
        scores = classifier.scores(decoder.picture(read_file(path, max_bytes=limits.input_bytes)))
    return {name: round(score, 6) for name, score in scores.items()}


def _print_explained(package: "ModelPackage", record: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    from worker.modelreport import picture_steps

    def points(title: str, lines: Sequence[str]) -> None:
        console.print(f"[bold]{title}[/]")
        for line in lines:
            console.print(f"  - {escape(line)}")

    console = Console()
    manifest = package.manifest
    console.print(f"[bold]{manifest.name} {manifest.version}[/] from {escape(record['from'])}")
    console.print(f"runs: {escape(_plain(record['runs']))}; weights: {record['weights']}")
    console.print(f"licence: {escape(manifest.licence)}\nsource: {escape(manifest.source)}")
    points("is for", manifest.intended_use)
    points("was measured on", manifest.validated_for)
    points("cannot be taken for more: known limits", manifest.known_limits)
    points("a picture comes to it", picture_steps(manifest))
    points("scores", [f"{label['score']}: {label['category']}" for label in record["labels"]])
    for name, score in record.get("scores", {}).items():
        console.print(f"{escape(name)} = {score:.4f}")


def _plain(when: str) -> str:
    return {"always": "every picture"}.get(when, when)


@contextmanager
def _progress(total: int) -> "Iterator[Any]":
    """A progress bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("measuring", total=total)
        yield lambda: progress.advance(task)


def _table(*columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    return Table(*columns, box=box.SIMPLE_HEAD)


def _print_table(table: "Table") -> None:
    from rich.console import Console

    Console().print(table)


def _print_json(records: Sequence[Mapping[str, Any]]) -> None:
    for record in records:
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    sys.stdout.flush()
