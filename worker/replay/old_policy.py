"""Policies for models that are no longer installed: they are tried on the logged scores of these models."""

from collections.abc import Iterable
from pathlib import Path

from config.errors import PolicyError
from config.policy.policy import Policy, load_policy
from config.settings import Settings
from models.classifiers.registry import known_packages
from worker.moderation.model_rules import packages_for
from worker.policyload.checked_policy import known_scores, load_checked_policy
from worker.verdictlog.reading import read_log


def load_tried_policy(
    path: Path | None, settings: Settings, *, since_ms: int, until_ms: int
) -> tuple[Policy, frozenset[str]]:
    """A policy to be tried on pictures captured in [since_ms, until_ms).

    It is checked as workers check it, but scores and models of the cascade are known, too, if the log has scores of
    them. The log is read for that only where the policy would be refused.

    Returns:
        The policy, and the models in it that are not installed.

    Raises:
        PolicyError: it is not usable.
        models.errors.ManifestError: a manifest is not usable.
        ObjectStoreError: the store is away.
    """
    try:
        return load_checked_policy(path, settings), frozenset()
    except PolicyError as refused:
        try:
            policy = load_policy(path)
        except PolicyError:
            raise refused from None  # it has these mistakes, and those about models
        installed, known = known_packages(settings.manifests_dir), known_scores(settings)
        used, cascade = _used_scores(policy), set(policy.cascade_models or ())
        if used <= known and cascade <= installed.keys():
            raise
        logged = _logged_scores(settings.store_url, since_ms, until_ms)
        gone = _models_of(logged) - installed.keys()
        if not (used <= known | logged and cascade <= installed.keys() | gone):
            raise
    # The log fixes which pictures a model classified: the cascade is not tried.
    packages_for(policy.model_copy(update={"cascade": None}), installed)
    return policy, gone & (_models_of(used) | cascade)


def _used_scores(policy: Policy) -> frozenset[str]:
    stages = (stage.condition for stage in policy.cascade or ())
    return policy.referenced_scores.union(*(condition.scores for condition in stages if condition is not None))


def _models_of(scores: Iterable[str]) -> frozenset[str]:
    return frozenset(score.partition("/")[0] for score in scores)


def _logged_scores(store_url: str, since_ms: int, until_ms: int) -> frozenset[str]:
    found: set[str] = set()
    for batch in read_log(store_url, since_ms, until_ms, ["scores"]):
        found.update(batch.column("scores").keys.unique().to_pylist())
    return frozenset(found)
