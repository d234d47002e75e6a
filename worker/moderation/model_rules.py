"""What a policy may ask of which model: checked before a policy is in force, since only here both are known.

Nothing is tried out: a condition is taken only where its form proves what has to hold.
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
from models.classifiers.manifest import Category, Manifest, Use
from models.classifiers.package import ModelPackage
from models.classifiers.registry import chosen_packages

_BY_NAME = 'expected scores by name, as in score("MODEL/LABEL")'


def packages_for(policy: Policy | None, known: Mapping[str, ModelPackage]) -> list[ModelPackage]:
    """Of all models those that `policy` is about, in the order of its cascade; nothing is verified.

    Args:
        policy: None: as one without a cascade.
        known: all models there are, by name.

    Raises:
        PolicyError: the cascade names a model that there is none of; or as `check_models`.
    """
    if policy is None:
        return chosen_packages(known, None)
    check_cascade_models(policy, known)
    packages = chosen_packages(known, policy.cascade_models)
    check_models(policy, [package.manifest for package in packages])
    return packages


def check_cascade_models(policy: Policy, known: Mapping[str, ModelPackage]) -> None:
    """Checks that there are the models that the cascade names.

    Raises:
        PolicyError: with the place of each name, and the nearest one that there is.
    """
    problems = [
        Problem(("cascade", place, "model"), unknown("model", stage.model, known), offset=0)
        for place, stage in enumerate(policy.cascade or ())
        if stage.model not in known
    ]
    if problems:
        raise policy.refused(problems)


def check_models(policy: Policy, models: Sequence[Manifest]) -> None:
    """Checks rules and cascade against the models that run.

    Raises:
        PolicyError: with file, line, and rule or stage: a live rule asks for scores that are for shadow rules only; the
            cascade asks for a label that no model has, or lets a model about minors look without cause; or a condition
            asks for a score about minors in a way that is not proved to hold on where the score rises: a low one
            would clear somebody.
    """
    problems = [*_shadow_only(policy, models), *_cascade(policy, models), *_clearing(policy, models)]
    if problems:
        first_at = {(problem.where, problem.offset): problem for problem in reversed(problems)}
        raise policy.refused(reversed(first_at.values()))


def _shadow_only(policy: Policy, models: Sequence[Manifest]) -> Iterator[Problem]:
    shadow = {model.key(label) for model in models if model.use is Use.SHADOW for label in model.labels}
    if not shadow:
        return
    for place, rule in enumerate(policy.rules):
        if rule.mode != "live":
            continue
        asked = sorted(_asked(rule.condition) & shadow)
        unnamed = unnamed_scores(rule.condition.tree)
        if unnamed is not None:
            text = f"{_BY_NAME}: this may be {min(shadow)}, which is for rules with `mode: shadow` only"
            yield Problem(("rules", place, "when"), text, unnamed)
        elif asked:
            text = f"{asked[0]} is for rules with `mode: shadow` only, says its manifest"
            yield Problem(("rules", place, "when"), text, rule.when.find(asked[0]))


def _cascade(policy: Policy, models: Sequence[Manifest]) -> Iterator[Problem]:
    keys = {model.key(label) for model in models for label in model.labels}
    about_minors = {model.name for model in models if model.about_minors}
    safe = frozenset(_keys_about(Category.SAFE, models))
    for place, stage in enumerate(policy.cascade or ()):
        for score in sorted(_asked(stage.condition) - keys):
            text = unknown("score", score, sorted(keys))
            at = (stage.when or "").find(score)
            yield Problem(("cascade", place, "when"), text, at if at >= 0 else None)  # it may have escapes
        if stage.model in about_minors:
            yield from _without_cause(place, stage, safe)


def _without_cause(place: int, stage: Stage, safe: frozenset[str]) -> Iterator[Problem]:
    """A model about minors may look only where something was found before: on no stream without that."""
    text = f"{stage.model} estimates age, and looks only where an earlier stage gave cause: expected "
    if stage.condition is None:
        yield Problem(("cascade", place), f"{text}`when` over another model's score or a match")
        return
    causeless = unproved(stage.condition.tree, lambda atom: _is_cause(atom, safe))
    if causeless is not None:
        yield Problem(
            ("cascade", place, "when"),
            f'{text}score("MODEL/LABEL") >= N above 0, of a label that is not `safe`, matched("LIST") or '
            "matches.exists(…); && may narrow it, and both sides of || must need one: "
            "this may hold where nothing was found",
            begin(causeless),
        )


def _is_cause(atom: Node, safe: frozenset[str]) -> bool:
    """Whether it surely fails where no list matched, labels of what is safe are at 1 and all others at 0.

    More than 0 (>) is no cause: hardly a network ever gives exactly 0.
    """
    least = floor(atom)
    return needs_match(atom) or (least is not None and least > 0 and not texts(atom) & safe)


def _clearing(policy: Policy, models: Sequence[Manifest]) -> Iterator[Problem]:
    minors = frozenset(_keys_about(Category.MINOR, models))
    if not minors:
        return
    conditions = [(("rules", place, "when"), rule.condition) for place, rule in enumerate(policy.rules)]
    conditions += [
        (("cascade", place, "when"), stage.condition)
        for place, stage in enumerate(policy.cascade or ())
        if stage.condition is not None
    ]
    for where, condition in conditions:
        unnamed = unnamed_scores(condition.tree)
        if unnamed is not None:
            text = f"{_BY_NAME}: this may be {min(minors)}, and a score about minors may raise and never clear"
            yield Problem(where, text, unnamed)
            continue
        for atom in atoms(condition.tree):
            asked = sorted(texts(atom) & minors)
            if asked and floor(atom) is None:
                text = (
                    f'a score about minors may raise and never clear: expected score("{asked[0]}") >= N, or a window '
                    "likewise, joined with others by && and || alone"
                )
                yield Problem(where, text, atom.start)


def _asked(condition: Condition | None) -> frozenset[str]:
    """Scores that a condition names, in windows too."""
    return frozenset() if condition is None else condition.scores


def _keys_about(category: Category, models: Sequence[Manifest]) -> Iterator[str]:
    return (model.key(label) for model in models for label in model.labels if label.category is category)
