"""A policy must fit the available models, and is tried by a process that imports nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tinymodels import constant_model, install

from config.errors import PolicyError
from config.settings import Settings
from worker.policyload.checked_policy import load_checked_policy, read_policy_and_models

RULES = "rules: [{name: a, when: 'score(\"guess/minor\") > 0.5', severity: high}]\n"
PLAIN = f'version: "1"\n{RULES}'
CASCADE = f"""version: "1"
cascade:
  - {{model: open-nsfw}}
  - {{model: guess, when: 'score("open-nsfw/nsfw") >= 0.15'}}
{RULES}"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a platform that has measured a model about minors on its own streams, and lets live rules use it."""
    folder = tmp_path / "models"
    folder.mkdir()
    labels = [{"name": "minor", "category": "minor"}]
    install(folder, constant_model([0.5]), name="guess", use="live", outputs=[{"labels": labels}])
    return Settings(manifests_dir=folder)


def names(text: str, settings: Settings) -> list[str]:
    _, classifiers = read_policy_and_models(text.encode(), Path("policy.yaml"), settings)
    return [classifier.name for classifier in classifiers]


def test_age_is_estimated_only_where_a_cascade_asks_for_it(settings: Settings) -> None:
    """An added model about minors would classify every picture of every stream."""
    assert names(PLAIN, settings) == ["open-nsfw", "testcard"]
    assert names(CASCADE, settings) == ["open-nsfw", "guess", "testcard"]


def test_a_self_test_model_about_minors_does_not_run_in_a_scan(settings: Settings) -> None:
    """`scan` would let it classify any film."""
    assert settings.manifests_dir is not None
    path = settings.manifests_dir / "guess.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "use": "selftest"}))
    assert names(PLAIN, settings) == ["open-nsfw", "testcard"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "model: guess",
            "model: gess",
            r"line 4, column 13: cascade\[1\]\.model: unknown model 'gess': did you mean 'gu",
        ),
        (">= 0.15", ">= 0.0", r"line 4, column 27: cascade\[1\]\.when: guess estimates age"),
        ('minor") > 0.5', 'minor") < 0.5', r"line 5, column 26: .*may raise and never clear"),
        ("guess/minor", "guess/miner", r"line 5, column 33: .*unknown score 'guess/miner': did you mean 'guess/minor'"),
    ],
)
def test_a_policy_that_does_not_fit_the_models_is_refused_by_every_tool(
    settings: Settings, tmp_path: Path, old: str, new: str, problem: str
) -> None:
    """A policy would pass all trials, and then no worker would start with it."""
    path = tmp_path / "policy.yaml"
    path.write_text(CASCADE.replace(old, new))
    with pytest.raises(PolicyError, match=problem):
        read_policy_and_models(path.read_bytes(), path, settings)
    with pytest.raises(PolicyError, match=problem):
        load_checked_policy(path, settings)


def test_trying_a_policy_reads_no_weights(settings: Settings, tmp_path: Path) -> None:
    """Rule authors would need all models' weights on their own machine."""
    assert settings.manifests_dir is not None
    (settings.manifests_dir / "means.onnx").unlink()
    path = tmp_path / "policy.yaml"
    path.write_text(CASCADE)
    assert load_checked_policy(path, settings).cascade_models == ["open-nsfw", "guess"]


def test_a_trial_imports_no_decoder_and_no_redis() -> None:
    """Each worker would start half a second of CPU later, and so would each policy come into force."""
    program = "import sys, worker.policyload.trial; print({'av', 'redis', 'pyarrow'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
