"""The stages of classifiers: which classify a picture, in which order, and the treatment of those that fail.

A model that fails, hangs or gives nonsense costs its own scores and no others, and the verdict has the reason
(`degraded`). The picture then counts as not moderated, unless only shadow rules use that model.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import thread_time

from config.facts import SELFTEST, SampleFacts, StreamFacts
from config.policy.cascade import Stage
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.monotonicity import unnamed_scores
from config.policy.policy import Policy
from config.settings import Settings
from models.classifiers.classifier import Classifier, WhenStuck
from models.classifiers.manifest import Manifest, Provider, Use
from models.classifiers.preprocess import Colours
from models.classifiers.registry import known_packages, verified
from models.errors import InferenceError, InferenceTimeoutError, ModelsError
from worker.logs.failure_log import FailureLog
from worker.moderation.model_rules import packages_for

_log = logging.getLogger(__name__)
_cascade, _classifiers = FailureLog(_log), FailureLog(_log)
"""Each by model."""

STUCK = "model-stuck"
"""Together with the model's name: mark (`degraded`) of verdicts without a model whose runs do not end."""


@dataclass(kw_only=True)
class ModelTally:
    """Pictures and time of one classifier on one segment; deduplicated pictures are not among them."""

    classified: int = 0
    skipped: int = 0
    """The cascade's condition did not hold."""
    failed: int = 0
    """Pictures without its scores: it failed, had run out of time on one before, or is stuck."""
    cpu_seconds: float = 0.0
    """CPU time of this thread, conditions included, a model's own threads and GPU excluded."""

    @property
    def counts(self) -> dict[str, int]:
        """Counts for the stream's record."""
        return {
            "classified": self.classified,
            "skipped": self.skipped,
            "failed": self.failed,
            "cpu_ms": round(self.cpu_seconds * 1000),
        }

    def add(self, more: "ModelTally") -> None:
        """Adds those of another segment."""
        self.classified += more.classified
        self.skipped += more.skipped
        self.failed += more.failed
        self.cpu_seconds += more.cpu_seconds


@dataclass(frozen=True, kw_only=True)
class Classified:
    """The scores of one picture."""

    scores: Mapping[str, float]
    complete: bool
    """Every classifier that was due, and whose scores live rules may use, gave them."""


def classifiers_for(policy: Policy | None, settings: Settings) -> tuple[Classifier, ...]:
    """Loads and verifies the classifiers that `policy` needs, in the order of its cascade. None: as without a cascade.

    Raises:
        models.errors.ClassifierError: one is not usable.
        config.errors.PolicyError: the cascade names an unknown model, or a rule or the cascade uses a model in a way
            that it may not be used.
    """
    packages = packages_for(policy, known_packages(settings.manifests_dir))
    return verified(packages, Provider(settings.provider))


def models_in_shadow(models: Sequence[Manifest], cascade: Sequence[Stage] | None) -> frozenset[str]:
    """The models, by name, that may fail without a loss to live rules: those for shadow rules that give no other model
    cause to run.

    One that does, be it over several stages, matters to live rules too: without its scores the other would skip
    pictures that it should classify.
    """
    keys = {model.name: {model.key(label) for label in model.labels} for model in models}
    needed = {model.name for model in models if model.use is not Use.SHADOW}
    for stage in reversed(cascade or ()):
        if stage.model not in needed or stage.condition is None:
            continue
        anything = unnamed_scores(stage.condition.tree) is not None
        needed |= {name for name, given in keys.items() if anything or given & stage.condition.scores}
    return frozenset(keys) - needed


class Stages:
    """The classifiers in the order of the policy's cascade; without one, all of them classify all pictures."""

    def __init__(self, classifiers: Sequence[Classifier], cascade: Sequence[Stage] | None) -> None:
        self._classifiers = tuple(classifiers)
        self._conditions = {stage.model: stage for stage in cascade or () if stage.when is not None}
        self._in_shadow = models_in_shadow([classifier.manifest for classifier in classifiers], cascade)

    def prepare(self, *, when_stuck: WhenStuck | None = None) -> None:
        """Builds the sessions, 0.1 s and more each: before the first picture has to wait for them.

        Args:
            when_stuck: called with a run that does not end.

        Raises:
            models.errors.ClassifierError: weights are missing, altered or not what their manifest says.
        """
        for classifier in self._classifiers:
            classifier.prepare(when_stuck=when_stuck)

    def segment(self, degraded: set[str], stuck: Collection[str] = ()) -> "SegmentStages":
        """Returns the stages for the pictures of one segment.

        Args:
            degraded: gets the slugs of failures.
            stuck: models that are left out: their runs do not end.
        """
        return SegmentStages(self._classifiers, self._conditions, self._in_shadow, degraded, frozenset(stuck))


@dataclass
class SegmentStages:
    """The stages for the pictures of one segment."""

    _classifiers: tuple[Classifier, ...]
    _conditions: Mapping[str, Stage]
    _in_shadow: frozenset[str]
    """Models that may fail without a loss to live rules."""
    _degraded: set[str]
    _stuck: frozenset[str]
    model_tallies: dict[str, ModelTally] = field(default_factory=dict)
    """By model, of those that ran or could have run."""
    _out_of_time: set[str] = field(default_factory=set)

    def classify(self, picture: Colours, stream: StreamFacts, sample: SampleFacts) -> Classified:
        """Runs each classifier that is due on the picture; `sample` has no scores yet."""
        if not stream.drill:
            # On a live stream the test card counts for nothing: showing it gains a broadcaster nothing.
            sample = replace(sample, matches=tuple(match for match in sample.matches if match.list != SELFTEST))
        scores: dict[str, float] = {}
        complete = True
        for classifier in self._classifiers:
            if classifier.manifest.use is Use.SELFTEST and not stream.drill:
                continue
            tally = self.model_tallies.setdefault(classifier.name, ModelTally())
            started = thread_time()
            if not self._due(classifier, stream, replace(sample, scores=scores)):
                tally.skipped += 1
            elif (found := self._scores(classifier, picture)) is not None:
                tally.classified += 1
                scores.update(found)
            else:
                tally.failed += 1
                complete = complete and classifier.name in self._in_shadow
            tally.cpu_seconds += thread_time() - started
        return Classified(scores=scores, complete=complete)

    def _due(self, classifier: Classifier, stream: StreamFacts, sample: SampleFacts) -> bool:
        stage = self._conditions.get(classifier.name)
        if stage is None:
            return not classifier.manifest.about_minors
        try:
            due = stage.due(stream, sample)
            _cascade.over(classifier.name, "cascade: %s: its condition can be evaluated again", classifier.name)
            return due
        except ConditionError as error:
            _cascade.met(classifier.name, "cascade: %s: %s", classifier.name, error, model=classifier.name)
            self._degraded.add(f"cascade-failed:{classifier.name}")
            # Classifying too often costs time, too rarely may cost a child's safety. But no age is estimated without
            # cause, and a failure is none.
            return not classifier.manifest.about_minors

    def _scores(self, classifier: Classifier, picture: Colours) -> Mapping[str, float] | None:
        if classifier.name in self._stuck:
            self._degraded.add(f"{STUCK}:{classifier.name}")
            return None
        if classifier.name in self._out_of_time:
            return None  # a second wait would take the time of the segments behind this one
        try:
            scores = classifier.scores(picture)
            _classifiers.over(classifier.name, "classifier %s works again", classifier.name, model=classifier.name)
            return scores
        except ModelsError as error:
            # Only its text: an exception of a model may hold the picture in its traceback's frames.
            text = "classifier %s failed: %s"
            _classifiers.met(classifier.name, text, classifier.name, error, model=classifier.name)
            slug = error.slug if isinstance(error, InferenceError) else InferenceError.slug
            self._degraded.add(f"{slug}:{classifier.name}")
            if isinstance(error, InferenceTimeoutError):
                self._out_of_time.add(classifier.name)
            return None
