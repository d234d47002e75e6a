"""Checks how a policy uses each model, before it is in force, since only here both are known.

Nothing is tried out: a condition is accepted only where its form proves the required property.
"""

from collections.abc import Iterator, Mapping, Sequence

from config.documents.mistakes import Problem
from config.documents.names import unknown
from config.policy.cascade import Stage
from config.policy.cel.expressions import Condition
from config.policy.cel.monotonicity import atoms, begin, floor, needs_match, unnamed_scores, unproved
from config.policy.cel.references import texts
from config.policy.cel.syntax import Node
from config.policy.policy import Policy
from models.classifiers.manifest import LabelCategory, Manifest, Use
from models.classifiers.package import ModelPackage
from models.classifiers.registry import chosen_packages

_BY_NAME = 'expected scores by name, as in score("MODEL/LABEL")'


def packages_for(policy: Policy | None, known: Mapping[str, ModelPackage]) -> list[ModelPackage]:
    """Returns the models that `policy` needs, in the order of its cascade; nothing is verified.

    Args:
        policy: None: as one without a cascade.
        known: all models, by name.

    Raises:
        PolicyError: the cascade names an unknown model; or as `check_models`.
    """
    if policy is None:
        return chosen_packages(known, None)
    check_cascade_models(policy, known)
    packages = chosen_packages(known, policy.cascade_models)
    check_models(policy, [package.manifest for package in packages])
    return packages


def check_cascade_models(policy: Policy, known: Mapping[str, ModelPackage]) -> None:
    """Checks that the models of the cascade are known.

    Raises:
        PolicyError: with the place of each unknown name, and the nearest known one.
    """
    problems = [
        Problem(("cascade", index, "model"), unknown("model", stage.model, known), offset=0)
        for index, stage in enumerate(policy.cascade or ())
        if stage.model not in known
    ]
    if problems:
        raise policy.refused(problems)


def check_models(policy: Policy, models: Sequence[Manifest]) -> None:
    """Checks rules and cascade against the models that run.

    Raises:
        PolicyError: with file, line, and rule or stage: a live rule uses scores that are for shadow rules only; the
            cascade uses a label that no model has, or runs a model about minors without cause; or a condition uses a
            score about minors in a way that is not proved to stay true where the score rises: a low one would clear a
            person; or it is part of the risk, which conditions may compare in any way.
    """
    problems = [
        *_shadow_only(policy, models),
        *_cascade(policy, models),
        *_clearing(policy, models),
        *_risk(policy, models),
    ]
    if problems:
        first_at = {(problem.where, problem.offset): problem for problem in reversed(problems)}
        raise policy.refused(reversed(first_at.values()))


def _shadow_only(policy: Policy, models: Sequence[Manifest]) -> Iterator[Problem]:
    shadow = {model.key(label) for model in models if model.use is Use.SHADOW for label in model.labels}
    if not shadow:
        return
    for index, rule in enumerate(policy.rules):
        if rule.mode != "live":
            continue
        used = sorted(_used(rule.condition) & shadow)
        unnamed = unnamed_scores(rule.condition.tree)
        if unnamed is not None:
            text = f"{_BY_NAME}: this may be {min(shadow)}, which is for rules with `mode: shadow` only"
            yield Problem(("rules", index, "when"), text, unnamed)
        elif used:
            text = f"{used[0]} is for rules with `mode: shadow` only, by its manifest"
            yield Problem(("rules", index, "when"), text, rule.when.find(used[0]))


def _cascade(policy: Policy, models: Sequence[Manifest]) -> Iterator[Problem]:
    keys = {model.key(label) for model in models for label in model.labels}
    about_minors = {model.name for model in models if model.about_minors}
    safe = frozenset(_keys_about(LabelCategory.SAFE, models))
    for index, stage in enumerate(policy.cascade or ()):
        for score in sorted(_used(stage.condition) - keys):
            text = unknown("score", score, sorted(keys))
            at = (stage.when or "").find(score)
            yield Problem(("cascade", index, "when"), text, at if at >= 0 else None)  # it may have escapes
        if stage.model in about_minors:
            yield from _without_cause(index, stage, safe)


def _without_cause(index: int, stage: Stage, safe: frozenset[str]) -> Iterator[Problem]:
    """A model about minors may run only where an earlier stage found something."""
    text = f"{stage.model} estimates age, and runs only where an earlier stage gave cause: expected "
    if stage.condition is None:
        yield Problem(("cascade", index), f"{text}`when` over another model's score or a match")
        return
    causeless = unproved(stage.condition.tree, lambda atom: _is_cause(atom, safe))
    if causeless is not None:
        yield Problem(
            ("cascade", index, "when"),
            f'{text}score("MODEL/LABEL") >= N above 0, of a label that is not `safe`, matched("LIST") or '
            "matches.exists(…); && may narrow it, and both sides of || must need one: "
            "this may hold where nothing was found",
            begin(causeless),
        )


def _is_cause(atom: Node, safe: frozenset[str]) -> bool:
    """Returns whether it surely fails where no list matched, `safe` labels are at 1 and all others at 0.

    More than 0 (>) is no cause: hardly a network ever gives exactly 0.
    """
    least = floor(atom)
    return needs_match(atom) or (least is not None and least > 0 and not texts(atom) & safe)


def _clearing(policy: Policy, models: Sequence[Manifest]) -> Iterator[Problem]:
    minors = frozenset(_keys_about(LabelCategory.MINOR, models))
    if not minors:
        return
    conditions = [(("rules", index, "when"), rule.condition) for index, rule in enumerate(policy.rules)]
    conditions += [
        (("cascade", index, "when"), stage.condition)
        for index, stage in enumerate(policy.cascade or ())
        if stage.condition is not None
    ]
    for where, condition in conditions:
        unnamed = unnamed_scores(condition.tree)
        if unnamed is not None:
            text = f"{_BY_NAME}: this may be {min(minors)}, and a score about minors may raise and never clear"
            yield Problem(where, text, unnamed)
            continue
        for atom in atoms(condition.tree):
            used = sorted(texts(atom) & minors)
            if used and floor(atom) is None:
                text = (
                    f'a score about minors may raise and never clear: expected score("{used[0]}") >= N, or a window '
                    "likewise, joined with others by && and || alone"
                )
                yield Problem(where, text, atom.start)


def _risk(policy: Policy, models: Sequence[Manifest]) -> Iterator[Problem]:
    for score in sorted(_keys_about(LabelCategory.MINOR, models)):
        if policy.risk.scores.get(score) is not None:
            text = "a score about minors may raise and never clear, and `stream.risk < N` would: expected another score"
            yield Problem(("risk", "scores", score), text)


def _used(condition: Condition | None) -> frozenset[str]:
    """Scores that a condition uses, in windows too."""
    return frozenset() if condition is None else condition.scores


def _keys_about(category: LabelCategory, models: Sequence[Manifest]) -> Iterator[str]:
    return (model.key(label) for model in models for label in model.labels if label.category is category)
