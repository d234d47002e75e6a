"""Which models may fail without a loss to live rules."""

from collections.abc import Sequence

from config.policy.cascade import Stage
from config.policy.cel.monotonicity import unnamed_scores
from models.classifiers.manifest import Manifest, Use


def in_shadow(models: Sequence[Manifest], cascade: Sequence[Stage] | None) -> frozenset[str]:
    """Of the models that run, by name, those for shadow rules that give no other one cause to look.

    One that does, be it over several stages, is asked by live rules too: without its scores the other would pass over
    what it should look at.
    """
    keys = {model.name: {model.key(label) for label in model.labels} for model in models}
    asked = {model.name for model in models if model.use is not Use.SHADOW}
    for stage in reversed(cascade or ()):
        if stage.model not in asked or stage.condition is None:
            continue
        anything = unnamed_scores(stage.condition.tree) is not None
        asked |= {name for name, given in keys.items() if anything or given & stage.condition.scores}
    return frozenset(keys) - asked
