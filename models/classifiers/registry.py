"""The registry of classifiers: those that livewarden ships, those of installed distributions, the operator's own."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from models.classifiers.classifier import Classifier
from models.classifiers.manifest import Provider, Use
from models.classifiers.package import ModelPackage, is_manifest, read_package
from models.classifiers.weights import installed_folder
from models.errors import ManifestError

SHIPPED = Path(__file__).parents[1] / "manifests"
"""The manifests that livewarden ships."""

DEFAULT = "open-nsfw"
"""The shipped one that runs by default: first, since it is the cheapest."""

ENTRY_POINTS = "livewarden.models"
"""Entry points of other distributions: each one's value is the dotted path of a folder of manifests, of which the
top-level package is found and nothing is imported."""


@dataclass(frozen=True, kw_only=True)
class BrokenPackage:
    """Something that should be a manifest, or a folder of them, and is not usable."""

    path: str
    """Path of the manifest or the folder, or the name of the entry point."""
    origin: str
    """As of a package."""
    error: ManifestError


@dataclass(frozen=True, kw_only=True)
class ModelRegistry:
    """All that was found, whether it is usable or not."""

    packages: dict[str, ModelPackage]
    """By name, in order of names."""
    broken: tuple[BrokenPackage, ...]


def read_all(folder: Path | None) -> ModelRegistry:
    """All classifiers. The operator's replace others of their name; a distribution's may not.

    Args:
        folder: the operator's manifests, *.yaml; None: there are none. It may be empty, as `deployment/manifests` is,
            which compose mounts, until an operator puts one there.
    """
    broken: list[BrokenPackage] = []
    known: dict[str, ModelPackage] = {}
    for package in (*_read_folder(SHIPPED, "livewarden", broken.append), *_installed(broken.append)):
        _put(package, known, broken)
    if folder is not None:
        own: dict[str, ModelPackage] = {}
        for package in _read_folder(folder, str(folder), broken.append, may_be_empty=True):
            replaced = known.get(package.manifest.name)
            _put(replace(package, replaces=None if replaced is None else replaced.origin), own, broken)
        known |= own
    return ModelRegistry(packages=dict(sorted(known.items())), broken=tuple(broken))


def read_registry(folder: Path) -> ModelRegistry:
    """The classifiers of one folder alone, as `read_all` gives them."""
    broken: list[BrokenPackage] = []
    known: dict[str, ModelPackage] = {}
    for package in _read_folder(folder, str(folder), broken.append):
        _put(package, known, broken)
    return ModelRegistry(packages=known, broken=tuple(broken))


def known_packages(folder: Path | None) -> dict[str, ModelPackage]:
    """All classifiers by name, as `read_all` finds them; a worker has all of them or does not start.

    Raises:
        ManifestError: the folder cannot be read, a manifest is not usable, or two have one name
            of which none may replace the other.
    """
    registry = read_all(folder)
    for broken in registry.broken:
        raise broken.error
    return registry.packages


def verified(packages: Iterable[ModelPackage], provider: Provider) -> tuple[Classifier, ...]:
    """Loads and verifies the classifiers of packages, in their order.

    Raises:
        ClassifierError: weights are missing or altered, or do not fit their manifest; or the provider is not there.
    """
    classifiers = tuple(Classifier(package, provider=provider) for package in packages)
    for classifier in classifiers:
        classifier.verify()
    return classifiers


def chosen_packages(known: Mapping[str, ModelPackage], names: Sequence[str] | None) -> list[ModelPackage]:
    """The classifiers that are to run, in their order; those for self-tests come last. Nothing is verified.

    Args:
        names: those that the policy's cascade names. None: `DEFAULT`, and all that distributions and the operator
            brought in; but not those for shadow rules only or about minors, which run where a cascade names them.

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


def _put(package: ModelPackage, known: dict[str, ModelPackage], broken: list[BrokenPackage]) -> None:
    """Adds it to those that are known, unless its name is taken."""
    name = package.manifest.name
    if name not in known:
        known[name] = package
        return
    taken = known[name]
    text = f"{package.place('name')}: {name} is taken by {taken.path}"
    if package.origin != taken.origin:
        text += f", from {taken.origin}: {package.origin} may not replace it, only the operator's own folder may"
    error = ManifestError(text)
    broken.append(BrokenPackage(path=str(package.path), origin=package.origin, error=error))


def _read_folder(
    folder: Path, origin: str, report: Callable[[BrokenPackage], None], *, may_be_empty: bool = False
) -> Iterator[ModelPackage]:
    try:
        paths = _manifests_in(folder, may_be_empty=may_be_empty)
    except ManifestError as error:
        report(BrokenPackage(path=str(folder), origin=origin, error=error))
        return
    for path in paths:
        try:
            package = read_package(path, origin=origin)
        except ManifestError as error:
            report(BrokenPackage(path=str(path), origin=origin, error=error))
        else:
            yield package


def _manifests_in(folder: Path, *, may_be_empty: bool) -> list[Path]:
    try:
        paths = sorted(path for path in folder.iterdir() if is_manifest(path))
    except OSError as error:
        raise ManifestError(f"{folder}: expected a folder of classifier manifests: {error.strerror}") from error
    if not paths and not may_be_empty:
        raise ManifestError(f"{folder}: expected at least one classifier manifest, *.yaml")
    return paths


def _installed(report: Callable[[BrokenPackage], None]) -> Iterator[ModelPackage]:
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: (entry.name, entry.value)):
        origin = entry.name if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
        try:
            folder = _folder_of(entry, origin)
        except ManifestError as error:
            report(BrokenPackage(path=entry.value, origin=origin, error=error))
        else:
            yield from _read_folder(folder, origin, report)


def _folder_of(entry: EntryPoint, origin: str) -> Path:
    top, *inner = entry.value.split(".")
    folder = installed_folder(top)
    if folder is None:
        raise ManifestError(
            f"{origin}: entry point {entry.name}: {entry.value}: expected a folder of an installed package"
        )
    return folder.joinpath(*inner)
