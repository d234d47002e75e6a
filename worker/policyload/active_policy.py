"""A policy with its classifiers and the pipeline that joins them.

They belong together: a segment is moderated and settled with one of them, whatever policy comes into force meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from config.policy.policy import Policy
from models.classifiers.classifier import Classifier
from models.classifiers.manifest import Use
from worker.moderation.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class ActivePolicy:
    """A policy that is ready to moderate with."""

    policy: Policy
    classifiers: tuple[Classifier, ...]
    pipeline: Pipeline

    def models(self, *, drill: bool) -> Mapping[str, str]:
        """Version of each model that classifies; for drills, of those for self-tests too."""
        return {
            classifier.name: classifier.manifest.version
            for classifier in self.classifiers
            if drill or classifier.manifest.use is not Use.SELFTEST
        }
