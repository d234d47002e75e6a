"""`livewarden models`: which classifiers there are, whether they are what they should be, and what they cost."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.ending import end_where_stuck
from worker.cli.json_lines import print_json
from worker.cli.model_view import print_benched, print_explained, print_list, progress, verify_line
from worker.cli.options import Json

if TYPE_CHECKING:
    from config.policy.policy import Policy
    from models.classifiers.classifier import Classifier, StuckRun
    from models.classifiers.package import ModelPackage
    from models.classifiers.registry import Broken

_print_json = partial(print_json, ascii_only=False, at_once=True)

app = typer.Typer(no_args_is_help=True, help="Classifiers: list, verify, measure and explain them.")

NOT_OK = 1
"""Exit status of `list` and `verify` where a manifest or the policy is not usable, or a model not what it should be."""

BENCH_SIZES = ((1280, 720), (640, 360))
"""Pixels: what is streamed, and what livewarden watches of it by default."""

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
    """The models that there are, and those that the policy in force lets run."""

    def __init__(self) -> None:
        from config.policy.policy import load_policy
        from models.classifiers.manifest import Provider
        from models.classifiers.registry import look_through
        from worker.runtime.environment import settings_of

        settings = settings_of(os.environ)
        self.policy: Policy = load_policy(settings.policy_file)
        shelf = look_through(settings.manifests_dir)
        self.packages: dict[str, ModelPackage] = shelf.packages
        self.broken: tuple[Broken, ...] = shelf.broken
        self._provider = Provider(settings.provider)

    def active(self) -> "dict[str, Classifier]":
        """Those that run; unverified, so that one that is broken can be told of too.

        Raises:
            PolicyError: the cascade names one that there is none of.
        """
        from worker.moderation.model_rules import check_cascade_models

        if not self.broken:  # else the cascade may mean one of those, which have no name
            check_cascade_models(self.policy, self.packages)
        return self.there()

    def there(self) -> "dict[str, Classifier]":
        """Likewise, of a policy that workers refuse too: those of its cascade that there are."""
        from models.classifiers.registry import chosen_packages

        names = self.policy.cascade_models
        if names is not None:
            names = [name for name in names if name in self.packages]
        return {one.manifest.name: self.classifier(one) for one in chosen_packages(self.packages, names)}

    def tell_refused(self) -> bool:
        """Says on stderr what of the policy does not fit the models; whether there is something."""
        from config.errors import PolicyError
        from worker.logs.printable import printable
        from worker.moderation.model_rules import packages_for

        if self.broken:
            return False  # that is told, and the cascade may mean one of those
        try:
            packages_for(self.policy, self.packages)
        except PolicyError as error:
            typer.echo(f"livewarden: no worker takes this policy: {printable(str(error))}", err=True)
            return True
        return False

    def classifier(self, package: "ModelPackage") -> "Classifier":
        from models.classifiers.classifier import Classifier

        return Classifier(package, provider=self._provider)

    def classifiers(self, names: Sequence[str] | None) -> "list[Classifier]":
        """Those that a person named; none named: those that run, if a worker starts with them."""
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

    def found(self, names: Sequence[str] | None) -> "Iterator[Classifier | Broken]":
        """As `classifiers`, and what a folder has; what is not usable among it, for that is to be told too."""
        from models.classifiers.package import is_manifest
        from models.classifiers.registry import Broken, read_shelf
        from models.errors import ManifestError

        if not names:
            yield from self.active().values()
            yield from self.broken
        for name in names or ():
            if name not in self.packages and Path(name).is_dir():
                shelf = read_shelf(Path(name))
                yield from map(self.classifier, shelf.packages.values())
                yield from shelf.broken
                continue
            try:
                yield self.classifier(self.package(name))
            except ManifestError as error:
                if not is_manifest(Path(name)):
                    raise
                yield Broken(path=name, origin=str(Path(name).parent), error=error)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List all classifiers: where they come from, what they score, and on which pictures they run.

    Status 1: a manifest is not usable, or the policy asks of models what it may not; no worker starts then.
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
    if known.tell_refused() or known.broken:
        raise typer.Exit(NOT_OK)


@app.command()
def verify(models: NamesAndFolders = None, as_json: Json = False) -> None:
    """Check digests, compare manifests with graphs, and run each model on a black picture and the test card.

    Status 1: a manifest is not usable, or a model is not what its manifest says, or takes longer than that allows.
    """
    from models.classifiers.registry import Broken
    from worker.cli.model_report import broken_record, refused_record, verify_record

    def tell(record: dict[str, Any]) -> None:
        if as_json:
            _print_json(record)
        else:
            typer.echo(verify_line(record))

    def end(package: "ModelPackage", run: "StuckRun") -> None:
        tell(refused_record(package, str(run)))
        end_where_stuck(run)

    all_ok = True
    for one in _Known().found(models):
        if isinstance(one, Broken):
            record = broken_record(one)
        else:
            record = verify_record(one, when_stuck=partial(end, one.package))
        all_ok = all_ok and record["ok"]
        tell(record)
    if not all_ok:
        raise typer.Exit(NOT_OK)


@app.command()
def bench(
    models: Names = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 30,
    as_json: Json = False,
) -> None:
    """Measure the time that models take for a picture, beside the bare run of the network."""
    from worker.cli.model_report import time_model

    classifiers = _Known().classifiers(models)
    records = []
    with progress(len(classifiers) * len(BENCH_SIZES)) as advance:
        for classifier in classifiers:
            classifier.prepare(when_stuck=end_where_stuck)
            for width, height in BENCH_SIZES:
                timing = time_model(classifier, width=width, height=height, rounds=rounds)
                records.append({"name": classifier.name} | timing.to_record())
                advance()
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
    """Explain what a model is for, what it was measured on, its limits, and how pictures are preprocessed."""
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
    known.tell_refused()


def _scores_of(classifier: "Classifier", path: Path) -> dict[str, float]:
    """The picture goes through the decoder child, as from a stream."""
    from sampler.child.decoder import Decoder
    from sampler.limits import Limits
    from worker.store.local_file import read_file

    limits = Limits()
    classifier.prepare(when_stuck=end_where_stuck)
    with Decoder(limits=limits) as decoder:
        scores = classifier.scores(decoder.picture(read_file(path, max_bytes=limits.input_bytes)))
    return {name: round(score, 6) for name, score in scores.items()}
