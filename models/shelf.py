"""Which classifiers there are: those that livewarden ships, those of installed distributions, the operator's own."""

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from models.classifier import Classifier
from models.errors import ManifestError
from models.manifest import Provider, Use
from models.package import ModelPackage, read_package

SHIPPED = Path(__file__).parent / "manifests"
"""The manifests that livewarden ships."""

DEFAULT = "open-nsfw"
"""Of those, the one that runs where nobody says which: first, since it is the cheapest."""

ENTRY_POINTS = "livewarden.models"
"""Entry points of other distributions: each one's value is the dotted path of a folder of manifests, of which the
top-level package is found and nothing is imported."""


def known_packages(folder: Path | None) -> dict[str, ModelPackage]:
    """All classifiers by name. The operator's go before those of distributions, and these before the shipped ones.

    Args:
        folder: the operator's manifests, *.yaml; None: there are none.

    Raises:
        ManifestError: the folder cannot be read or holds no manifest, a manifest is not usable, or two in one place
            have one name.
    """
    known = _by_name(_read_folder(SHIPPED, origin="livewarden"))
    known |= _by_name(_installed())
    if folder is not None:
        known |= _by_name(_read_folder(folder, origin=str(folder)))
    return dict(sorted(known.items()))


def load_classifiers(
    folder: Path | None, *, names: Sequence[str] | None = None, provider: Provider = Provider.CPU
) -> tuple[Classifier, ...]:
    """Loads and verifies the classifiers that are to run, in their order; those for self-tests come last.

    Args:
        folder: the operator's manifests; None: there are none.
        names: those that the policy's cascade names. None: `DEFAULT`, and all that distributions and the operator
            brought in; but not those for shadow rules only or about minors, which run where a cascade names them.
        provider: what is to compute.

    Raises:
        ManifestError: as `known_packages`; or there is none of a name.
        ClassifierError: weights are missing or altered, or do not fit their manifest; or the provider is not there.
    """
    return verified(chosen_packages(known_packages(folder), names), provider)


def verified(packages: Iterable[ModelPackage], provider: Provider) -> tuple[Classifier, ...]:
    """Classifiers of packages, in their order.

    Raises:
        ClassifierError: as `load_classifiers`.
    """
    classifiers = tuple(Classifier(package, provider=provider) for package in packages)
    for classifier in classifiers:
        classifier.verify()
    return classifiers


def chosen_packages(known: Mapping[str, ModelPackage], names: Sequence[str] | None) -> list[ModelPackage]:
    """Of all classifiers those that are to run, as `load_classifiers` has them; nothing is verified.

    Raises:
        ManifestError: there is none of a name.
    """
    chosen = _usual(known) if names is None else [_named(name, known) for name in names]
    return chosen + [
        package
        for package in known.values()
        if package.manifest.use is Use.SELFTEST and not package.manifest.about_minors and package not in chosen
    ]


def _usual(known: Mapping[str, ModelPackage]) -> list[ModelPackage]:
    usual = [
        package
        for name, package in known.items()
        if package.manifest.use is Use.LIVE
        and not package.manifest.about_minors
        and (name == DEFAULT or package.path.parent != SHIPPED)
    ]
    return sorted(usual, key=lambda package: package.manifest.name != DEFAULT)


def _named(name: str, known: Mapping[str, ModelPackage]) -> ModelPackage:
    if name not in known:
        raise ManifestError(f"no classifier has the name {name!r}: known are {', '.join(known)}")
    return known[name]


def _by_name(packages: Iterable[ModelPackage]) -> dict[str, ModelPackage]:
    found: dict[str, ModelPackage] = {}
    for package in packages:
        name = package.manifest.name
        if name in found:
            raise ManifestError(f"{package.place('name')}: {name} is taken by {found[name].path}")
        found[name] = package
    return found


def _read_folder(folder: Path, *, origin: str) -> Iterator[ModelPackage]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"})
    except OSError as error:
        raise ManifestError(f"{folder}: expected a folder of classifier manifests: {error.strerror}") from error
    if not paths:
        raise ManifestError(f"{folder}: expected at least one classifier manifest, *.yaml")
    for path in paths:
        yield read_package(path, origin=origin)


def _installed() -> Iterator[ModelPackage]:
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: (entry.name, entry.value)):
        origin = entry.name if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
        yield from _read_folder(_folder_of(entry, origin), origin=origin)


def _folder_of(entry: EntryPoint, origin: str) -> Path:
    top, *inner = entry.value.split(".")
    spec = importlib.util.find_spec(top)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    if not folders:
        raise ManifestError(
            f"{origin}: entry point {entry.name}: {entry.value}: expected a folder of an installed package"
        )
    return Path(folders[0]).joinpath(*inner)
