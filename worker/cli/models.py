"""`livewarden models`: lists, verifies, measures and explains classifiers."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.ending import end_where_stuck
from worker.cli.json_lines import print_json
from worker.cli.model_view import print_benched, print_explained, print_list, verify_line
from worker.cli.options import Json

if TYPE_CHECKING:
    from config.policy.policy import Policy
    from models.classifiers.classifier import Classifier, StuckRun
    from models.classifiers.package import ModelPackage
    from models.classifiers.registry import BrokenPackage

_print_json = partial(print_json, ascii_only=False, at_once=True)

app = typer.Typer(no_args_is_help=True, help="Classifiers: list, verify, measure and explain them.")

NOT_OK = 1
"""Exit status of `list` and `verify`: a manifest or the policy is unusable, or a model is not as its manifest says."""

BENCH_SIZES = ((1280, 720), (640, 360))
"""Pixels: a usual size of streams, and the rendition that livewarden watches by default."""

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL", help="Names, or paths of manifests; default: the models that run."),
]
NamesAndFolders = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL", help="Names, or paths of manifests and folders of them; default: the models that run."
    ),
]


class _Known:
    """The installed models, and those that run with the policy in force."""

    def __init__(self) -> None:
        from config.policy.policy import load_policy
        from models.classifiers.manifest import Provider
        from models.classifiers.registry import read_all
        from worker.runtime.environment import settings_of

        settings = settings_of(os.environ)
        self.policy: Policy = load_policy(settings.policy_file)
        registry = read_all(settings.manifests_dir)
        self.packages: dict[str, ModelPackage] = registry.packages
        self.broken: tuple[BrokenPackage, ...] = registry.broken
        self._provider = Provider(settings.provider)

    def active(self) -> "dict[str, Classifier]":
        """The models that run; unverified, so that a broken one can be reported too.

        Raises:
            PolicyError: the cascade names a model that does not exist.
        """
        from worker.moderation.model_rules import check_cascade_models

        if not self.broken:  # else the cascade may mean one of those, which have no name
            check_cascade_models(self.policy, self.packages)
        return self.there()

    def there(self) -> "dict[str, Classifier]":
        """As `active`, also of a policy that workers refuse: those models of its cascade that exist."""
        from models.classifiers.registry import chosen_packages

        names = self.policy.cascade_models
        if names is not None:
            names = [name for name in names if name in self.packages]
        return {one.manifest.name: self.classifier(one) for one in chosen_packages(self.packages, names)}

    def report_refused(self) -> bool:
        """Reports on stderr where the policy does not fit the models; returns whether it does not."""
        from config.errors import PolicyError
        from worker.logs.printable import printable
        from worker.moderation.model_rules import packages_for

        if self.broken:
            return False  # those are reported, and the cascade may mean one of them
        try:
            packages_for(self.policy, self.packages)
        except PolicyError as error:
            typer.echo(f"livewarden: workers refuse this policy: {printable(str(error))}", err=True)
            return True
        return False

    def classifier(self, package: "ModelPackage") -> "Classifier":
        from models.classifiers.classifier import Classifier

        return Classifier(package, provider=self._provider)

    def classifiers(self, names: Sequence[str] | None) -> "list[Classifier]":
        """The named models; none named: those that run, if a worker starts with them."""
        if names:
            return [self.classifier(self.package(name)) for name in names]
        for one in self.broken:
            raise one.error
        return list(self.active().values())

    def package(self, name: str) -> "ModelPackage":
        """By name, or by the path of its manifest."""
        from models.classifiers.package import is_manifest, read_package
        from models.errors import ManifestError

        if name in self.packages:
            return self.packages[name]
        if is_manifest(Path(name)):
            return read_package(Path(name), origin=str(Path(name).parent))
        not_usable = f"; not usable are {', '.join(one.path for one in self.broken)}" if self.broken else ""
        raise ManifestError(f"no classifier has the name {name!r}: known are {', '.join(self.packages)}{not_usable}")

    def found(self, names: Sequence[str] | None) -> "Iterator[Classifier | BrokenPackage]":
        """As `classifiers`, and those of a folder; unusable ones too, since they are reported."""
        from models.classifiers.package import is_manifest
        from models.classifiers.registry import BrokenPackage, read_registry
        from models.errors import ManifestError

        if not names:
            yield from self.active().values()
            yield from self.broken
        for name in names or ():
            if name not in self.packages and Path(name).is_dir():
                registry = read_registry(Path(name))
                yield from map(self.classifier, registry.packages.values())
                yield from registry.broken
                continue
            try:
                yield self.classifier(self.package(name))
            except ManifestError as error:
                if not is_manifest(Path(name)):
                    raise
                yield BrokenPackage(path=name, origin=str(Path(name).parent), error=error)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List all classifiers: where they come from, what they score, and on which pictures they run.

    Status 1: a manifest is not usable, or the policy uses models as it may not; no worker starts then.
    """
    from worker.cli.model_report import broken_record, list_record, runs

    known = _Known()
    active = known.there()
    order = {name: place for place, name in enumerate(active)}
    packages = sorted(known.packages.values(), key=lambda one: order.get(one.manifest.name, len(order)))
    records = [list_record(package, runs(package, active, known.policy.cascade)) for package in packages]
    records += map(broken_record, known.broken)
    if as_json:
        for record in records:
            _print_json(record)
    else:
        print_list(records)
    if known.report_refused() or known.broken:
        raise typer.Exit(NOT_OK)


@app.command()
def verify(models: NamesAndFolders = None, as_json: Json = False) -> None:
    """Check digests, compare manifests with graphs, and run each model on a black picture and the test card.

    Status 1: a manifest is not usable, or a model is not as its manifest says, or exceeds its time limit.
    """
    from models.classifiers.registry import BrokenPackage
    from worker.cli.model_report import broken_record, refused_record, verify_record

    def show(record: dict[str, Any]) -> None:
        if as_json:
            _print_json(record)
        else:
            typer.echo(verify_line(record))

    def end(package: "ModelPackage", run: "StuckRun") -> None:
        show(refused_record(package, str(run)))
        end_where_stuck(run)

    all_ok = True
    for one in _Known().found(models):
        if isinstance(one, BrokenPackage):
            record = broken_record(one)
        else:
            record = verify_record(one, when_stuck=partial(end, one.package))
        all_ok = all_ok and record["ok"]
        show(record)
    if not all_ok:
        raise typer.Exit(NOT_OK)


@app.command()
def bench(
    models: Names = None,
    rounds: Annotated[int, typer.Option(min=1, help="Measurements of each model and size.")] = 30,
    as_json: Json = False,
) -> None:
    """Measure the time of a picture for each model, beside the bare run of the network."""
    from worker.cli.model_report import time_model
    from worker.cli.screen import progress_bar

    classifiers = _Known().classifiers(models)
    records = []
    with progress_bar(description="measuring", total=len(classifiers) * len(BENCH_SIZES)) as update:
        for classifier in classifiers:
            classifier.prepare(when_stuck=end_where_stuck)
            for width, height in BENCH_SIZES:
                timing = time_model(classifier, width=width, height=height, rounds=rounds)
                records.append({"name": classifier.name} | timing.to_record())
                update(advance=1)
                if as_json:
                    _print_json(records[-1])
    if not as_json:
        print_benched(records)


@app.command()
def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its name, or the path of its manifest.")],
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Run it on a picture, and print its scores.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain a model: its intended use, validation, known limits and preprocessing."""
    from worker.cli.model_report import explain_record, runs

    known = _Known()
    package = known.package(model)
    record = explain_record(package, runs(package, known.there(), known.policy.cascade))
    if picture is not None:
        record["scores"] = _scores_of(known.classifier(package), picture)
    if as_json:
        _print_json(record)
    else:
        print_explained(package, record)
    known.report_refused()


def _scores_of(classifier: "Classifier", path: Path) -> dict[str, float]:
    """Scores of a picture, which goes through the decoder child, as one of a stream does."""
    from sampler.child.decoder import Decoder
    from sampler.limits import Limits
    from worker.store.local_file import read_file

    limits = Limits()
    classifier.prepare(when_stuck=end_where_stuck)
    with Decoder(limits=limits) as decoder:
        scores = classifier.scores(decoder.picture(read_file(path, max_bytes=limits.input_bytes)))
    return {name: round(score, 6) for name, score in scores.items()}
