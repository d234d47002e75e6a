"""docs/models.md: its examples work as written."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from commandline import livewarden
from onnx import TensorProto, helper
from tinymodels import build, install, mean_model, package

from config.policy.policy import parse_policy
from models.classifiers.classifier import Classifier
from models.classifiers.registry import known_packages

TEXT = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
MANIFEST, POLICY = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_manifest_works_with_a_model_of_that_shape(tmp_path: Path) -> None:
    """Users who copy the manifest would have a model that does not load."""
    nodes = [helper.make_node("ReduceMean", ["picture", "axes"], ["logits"], keepdims=0)]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    model = build(nodes, shape=["n", 3, 224, 224], outputs={"logits": ["n", 3]}, constants=[axes])
    model.graph.input[0].name = model.graph.node[0].input[0] = "pixel_values"
    weights = model.SerializeToString()
    (tmp_path / "acme.onnx").write_bytes(weights)
    path = tmp_path / "acme.yaml"
    path.write_text(MANIFEST.replace("0" * 64, hashlib.sha256(weights).hexdigest()))
    scores = Classifier(package(path)).scores(np.zeros((360, 640, 3), np.uint8))
    assert set(scores) == {f"acme-stage-2/{label}" for label in ("neutral", "suggestive", "explicit")}
    assert abs(sum(scores.values()) - 1) < 1e-6


def test_the_cascade_is_a_valid_policy() -> None:
    """A worker would not start with the documented cascade."""
    known = {key for one in known_packages(None).values() for key in Classifier(one).keys}
    policy = parse_policy(POLICY.encode(), "docs/models.md", known_scores=known)
    assert policy.cascade is not None
    assert [stage.model for stage in policy.cascade] == ["open-nsfw", "safety-s"]


def test_all_shipped_models_are_documented() -> None:
    """A user would find a model without an explanation."""
    for name, one in known_packages(None).items():
        assert f"| `{name}` |" in TEXT
        assert yaml.safe_load(one.path.read_text())["known_limits"]


@pytest.mark.parametrize("command", ["list", "verify", "bench", "explain"])
def test_json_fields_are_the_documented_ones(tmp_path: Path, command: str) -> None:
    """A program would wait for a field that does not exist, or nobody would know what a field means."""
    rows = re.findall(r"^\| (`[^|]*`) \| ([a-z, ]+) \| [^|]+ \|$", TEXT, re.MULTILINE)
    reported = {name for names, of in rows if command in of.split(", ") for name in re.findall(r"`(\w+)`", names)}
    install(tmp_path, mean_model())
    (tmp_path / "broken.yaml").write_text("name: [")
    card = tmp_path / "card.png"
    livewarden("testcard", card)
    arguments = {
        "list": [],
        "verify": [tmp_path],
        "bench": ["testcard", "--rounds", 1],
        "explain": ["testcard", "--picture", card],
    }
    environment = {} if command != "list" else {"LIVEWARDEN_MANIFESTS_DIR": str(tmp_path)}
    ran = livewarden("models", command, *arguments[command], "--json", environment=environment)
    assert {name for record in ran.records for name in record} == reported
