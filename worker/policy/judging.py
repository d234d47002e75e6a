"""What a process judges by: a policy, the classifiers that it is about, and the pipeline that joins them.

They belong together: a segment is judged and settled by one of them, whatever policy comes into force meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.policy import Policy, parse_policy, policy_name
from config.settings import Settings
from models.classifier import Classifier
from models.manifest import Use
from models.shelf import known_packages
from worker.pipeline import Pipeline
from worker.verdicts.stages import classifiers_for


@dataclass(frozen=True, kw_only=True)
class Judging:
    """A policy that is ready to be judged by."""

    policy: Policy
    classifiers: tuple[Classifier, ...]
    pipeline: Pipeline

    def models(self, *, drill: bool) -> Mapping[str, str]:
        """Version of each model that looks; for drills, of those for self-tests too."""
        return {
            classifier.name: classifier.manifest.version
            for classifier in self.classifiers
            if drill or classifier.manifest.use is not Use.SELFTEST
        }


def read_policy_and_models(data: bytes, path: Path | None, settings: Settings) -> tuple[Policy, tuple[Classifier, ...]]:
    """Checks a policy's bytes, and what it asks of which model; builds no session yet.

    Args:
        path: where they were read; None: the policy that ships.

    Raises:
        LivewardenError: the policy is not usable, or a model that it is about.
    """
    name = policy_name(path)
    policy = parse_policy(data, name)
    classifiers = classifiers_for(policy, settings)
    shadow = {key for classifier in classifiers if classifier.manifest.use is Use.SHADOW for key in classifier.keys}
    return parse_policy(data, name, known_scores=known_scores(settings), shadow_scores=shadow), classifiers


def known_scores(settings: Settings) -> frozenset[str]:
    """Of all classifiers there are, "<model>/<label>". A rule may name one that does not run: it is 0.0 then.

    Raises:
        models.errors.ManifestError: a manifest is not usable.
    """
    manifests = [package.manifest for package in known_packages(settings.manifests_dir).values()]
    return frozenset(manifest.key(label) for manifest in manifests for label in manifest.labels)
