"""`livewarden models` beside a policy that workers refuse: it lists the models, and reports the problem."""

from pathlib import Path

import pytest
from commandline import livewarden
from tinymodels import constant_model, install

RULE = "rules: [{name: a, when: 'score(\"open-nsfw/nsfw\") > 0.5', severity: review}]\n"
MINOR = [{"labels": [{"name": "minor", "category": "minor"}]}]


def written(folder: Path, cascade: str) -> dict[str, str]:
    policy = folder / "policy.yaml"
    policy.write_text(f'version: "1"\n{RULE}{cascade}\n')
    return {"LIVEWARDEN_POLICY_FILE": str(policy)}


@pytest.mark.parametrize(
    ("cascade", "reported"),
    [
        (
            "cascade: [{model: open-nsfw}, {model: safetys}]",
            "line 3, column 39: cascade[1].model: unknown model 'safetys': did you mean 'safety-s'?",
        ),
        ("cascade: [{model: open-nsfw}, {model: age}]", "line 3, column 31: cascade[1]: age estimates age, and runs"),
    ],
)
def test_models_are_listed_beside_a_policy_that_workers_refuse(tmp_path: Path, cascade: str, reported: str) -> None:
    """After a typo in a model's name in the policy, its author could not look up the right one."""
    environment = written(tmp_path, cascade)
    listed = livewarden("models", "list", "--json", environment=environment)
    assert listed.status == 1
    records = {record["name"]: record for record in listed.records}
    assert {"age", "open-nsfw", "safety-s", "testcard"} <= records.keys()
    assert (records["open-nsfw"]["runs"], records["safety-s"]["runs"]) == ("always", "no")
    explained = livewarden("models", "explain", "safety-s", "--json", environment=environment)
    assert explained.status == 0
    assert explained.records[0]["name"] == "safety-s"
    for ran in (listed, explained):
        assert ran.message.startswith(f"workers refuse this policy: {tmp_path / 'policy.yaml'}: ")
        assert reported in ran.message


def test_an_added_model_about_minors_runs_nowhere_and_the_list_shows_why(tmp_path: Path) -> None:
    """An operator would not know why it gives no score; or it would run on every picture."""
    folder = tmp_path / "models"
    folder.mkdir()
    install(folder, constant_model([0.5]), name="guess", outputs=MINOR)
    environment = {**written(tmp_path, ""), "LIVEWARDEN_MANIFESTS_DIR": str(folder)}
    ran = livewarden("models", "list", "--json", environment=environment)
    assert (ran.status, ran.err) == (0, "")
    assert {record["name"]: record["runs"] for record in ran.records}["guess"] == "no"
    lines = livewarden("models", "list", environment=environment).out.splitlines()
    (row,) = [place for place, line in enumerate(lines) if line.lstrip().startswith("guess")]
    assert "only where a cascade condition holds" in lines[row + 1]
