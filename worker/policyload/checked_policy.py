"""A policy, checked against the models that it needs.

Imports no decoder and no Redis: a process that only tries models starts in half the time without them.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from config.policy.policy import Policy, parse_policy, policy_name, read_policy
from config.settings import Settings
from models.classifiers.classifier import Classifier
from models.classifiers.manifest import Manifest, Use
from models.classifiers.package import ModelPackage
from models.classifiers.registry import known_packages
from worker.moderation.model_rules import packages_for
from worker.moderation.stages import classifiers_for


def read_policy_and_models(data: bytes, path: Path | None, settings: Settings) -> tuple[Policy, tuple[Classifier, ...]]:
    """Reads a policy's bytes and checks them against the models; builds no session yet.

    Args:
        path: where they were read; None: the policy that ships.

    Raises:
        LivewardenError: the policy, or a model that it needs, is not usable.
    """
    policy = _parsed(data, path, known_packages(settings.manifests_dir))
    return policy, classifiers_for(policy, settings)


def load_checked_policy(path: Path | None, settings: Settings) -> Policy:
    """Loads a policy as workers do, for commands that run no model: no weights are read.

    Raises:
        PolicyError: no worker would take it.
        models.errors.ManifestError: a manifest is not usable.
    """
    known = known_packages(settings.manifests_dir)
    policy = _parsed(read_policy(path), path, known)
    packages_for(policy, known)
    return policy


def _parsed(data: bytes, path: Path | None, known: Mapping[str, ModelPackage]) -> Policy:
    """Parses a policy. A rule may name a score of a model that does not run: it is 0.0 then."""
    manifests = [package.manifest for package in known.values()]
    return parse_policy(
        data,
        policy_name(path),
        known_scores=_scores(manifests),
        shadow_scores=_scores(manifest for manifest in manifests if manifest.use is Use.SHADOW),
    )


def _scores(manifests: Iterable[Manifest]) -> frozenset[str]:
    return frozenset(manifest.key(label) for manifest in manifests for label in manifest.labels)


def known_scores(settings: Settings) -> frozenset[str]:
    """Scores of all known classifiers, "<model>/<label>".

    Raises:
        models.errors.ManifestError: a manifest is not usable.
    """
    return _scores(package.manifest for package in known_packages(settings.manifests_dir).values())
