"""Model packages: a mistake is reported with file, line and field, before the model is used."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from onnx import TensorProto, external_data_helper, helper, load_model_from_string, numpy_helper, save_model
from tinymodels import (
    SIDE,
    build,
    classifier,
    constant_model,
    install,
    labels,
    load_classifiers,
    manifest,
    mean_model,
    package,
)

from models.classifiers.classifier import Classifier
from models.classifiers.onnx_graph import read_graph
from models.classifiers.registry import DEFAULT, SHIPPED, known_packages, read_registry
from models.classifiers.weights import read_weights
from models.errors import ManifestError, OnnxFileError, WeightsError
from tools.schemas import manifest_schema

SCHEMA_FILE = files("models").joinpath("manifest.v1.schema.json")


WHOLE = mean_model()


def refused(path: Path) -> str:
    with pytest.raises(ManifestError) as error:
        package(path)
    text = str(error.value)
    assert text.startswith(f"{path}, line ")
    assert "\n" not in text
    return text


def line_of(path: Path, beginning: str) -> int:
    lines = path.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip().startswith(beginning))


@pytest.mark.parametrize(
    ("changes", "beginning", "expected"),
    [
        ({"typo": 1}, "typo", "typo: Extra inputs"),
        ({"input__layout": "CHW"}, "layout", "input.layout: "),
        ({"input__mean": [1, 2]}, "mean", "input.mean"),
        ({"input__crop": {"width": 9, "height": 9}}, "crop", "crop: expected no more"),
        ({"input__dtype": "uint8"}, "dtype", "dtype: uint8 leaves no room"),
        ({"input__resize": {"width": 0, "height": 9, "filter": "bilinear"}}, "width", "input.resize.width: "),
        ({"outputs": [{"labels": labels("a", "a")}]}, "outputs", "each label once"),
        ({"outputs": [{"labels": labels("a")}, {"labels": labels("b")}]}, "outputs", "there are several"),
        ({"outputs": [{"labels": [{"name": "a", "category": "x"}]}]}, "category", "labels[0].category: "),
        (
            {"outputs": [{"columns": 2, "labels": [{"name": "a", "category": "other", "columns": [1, 2]}]}]},
            "labels",
            "expected columns within 0 to 1",
        ),
        ({"weights__sha256": "123"}, "sha256", "weights.sha256"),
        ({"weights__file": "../means.onnx"}, "file", "stays inside"),
        ({"weights__external": {"/etc/passwd": "0" * 64}}, "external", "stays inside"),
        ({"runtime__time_limit_seconds": 60}, "time_limit_seconds", "runtime.time_limit_seconds: "),
        ({"runtime__providers": ["tpu"]}, "providers", "runtime.providers"),
        ({"name": "a/b"}, "name", "name: "),
    ],
)
def test_a_manifest_with_a_mistake_names_line_and_field(
    tmp_path: Path, changes: dict[str, Any], beginning: str, expected: str
) -> None:
    """A typo in a manifest would be found only when the model runs, without its place."""
    path = tmp_path / "means.yaml"
    path.write_text(yaml.safe_dump(manifest(b"", **changes), sort_keys=False))
    text = refused(path)
    assert expected in text
    found = line_of(path, beginning)
    # A list that is invalid as a whole is reported at its first line or at its entry's.
    assert any(text.startswith(f"{path}, line {number}: ") for number in (found, found + 1, found + 2))


def test_several_mistakes_are_reported_together(tmp_path: Path) -> None:
    """The author of a manifest would correct one line a start."""
    path = tmp_path / "means.yaml"
    path.write_text(yaml.safe_dump(manifest(b"", licence="", source="")))
    assert refused(path).count("String should have at least 1 character") == 2


@pytest.mark.parametrize("text", ["a: [", "just text", "", "\x00", "- 1", "a: 2026-99-99", "&a [*a]", "a: &a {b: *a}"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """Another file under the manifest's name would end in a traceback."""
    path = tmp_path / "means.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=r"means\.yaml"):
        package(path)


def test_the_schema_is_the_model() -> None:
    """An editor would accept a manifest that livewarden refuses."""
    assert json.loads(SCHEMA_FILE.read_text()) == manifest_schema()


def test_shipped_manifests_fit_the_schema() -> None:
    """People would copy an invalid example."""
    validator = Draft202012Validator(manifest_schema())
    for path in SHIPPED.glob("*.yaml"):
        validator.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("weights", "changes", "expected"),
    [
        (b"no model", {}, "expected an ONNX model"),
        (b"", {}, "expected an ONNX model"),
        (mean_model("NHWC"), {}, r"input: NCHW \(1, 3, 8, 8\) by layout.*the graph takes \(1, 8, 8, 3\)"),
        (mean_model(), {"input__name": "image"}, "input.name: 'image': the graph's input is 'picture'"),
        (mean_model(), {"input__dtype": "float16"}, "input.dtype: float16: the graph takes float32"),
        (mean_model(), {"outputs": [{"labels": labels("only")}]}, "outputs.*labels: 1 column: the graph gives 3"),
        (
            mean_model(),
            {"outputs": [{"name": "logits", "labels": labels("a", "b", "c")}]},
            "name: 'logits': the graph gives 'scores'",
        ),
    ],
)
def test_weights_that_do_not_fit_are_reported_with_the_line(
    tmp_path: Path, weights: bytes, changes: dict[str, Any], expected: str
) -> None:
    """A manifest for another model would give scores under the wrong names, or fail at the first picture."""
    install(tmp_path, weights, **changes)
    with pytest.raises(WeightsError, match=expected) as error:
        load_classifiers(tmp_path)
    assert "\n" not in str(error.value)
    assert weights == b"no model" or weights == b"" or "means.yaml, line " in str(error.value)


def test_a_shape_left_open_by_the_graph_is_tried(tmp_path: Path) -> None:
    """A mismatch that the graph does not declare would appear only at the first picture."""
    node = helper.make_node("ReduceMean", ["picture", "axes"], ["scores"], keepdims=0)
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    model = build([node], shape=["n", "c", "h", "w"], outputs={"scores": ["n", "k"]}, constants=[axes])
    two = classifier(tmp_path, model.SerializeToString(), outputs=[{"labels": labels("a", "b")}])
    two.verify()
    with pytest.raises(WeightsError, match="expected 2 numbers, found 3"):
        two.prepare()


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    """Somebody who replaces weights could decide what moderators see."""
    path = install(tmp_path, mean_model())
    expected = package(path).manifest.weights.sha256
    (tmp_path / "means.onnx").write_bytes(b"altered")
    with pytest.raises(WeightsError) as error:
        load_classifiers(tmp_path)
    for part in (str(tmp_path / "means.onnx"), expected, hashlib.sha256(b"altered").hexdigest()):
        assert part in str(error.value)


def test_missing_weights_are_reported(tmp_path: Path) -> None:
    """The operator would not learn which file or package to install."""
    path = install(tmp_path, mean_model())
    (tmp_path / "means.onnx").unlink()
    with pytest.raises(WeightsError, match=r"means\.onnx: the weights of means cannot be read"):
        Classifier(package(path)).verify()
    path = install(tmp_path, b"", weights__package="package_that_is_not_there")
    with pytest.raises(WeightsError, match="package_that_is_not_there to be installed"):
        Classifier(package(path)).verify()


def with_external(folder: Path, location: str) -> bytes:
    """The channels' means, halved by numbers in another file."""
    nodes = [
        helper.make_node("ReduceMean", ["picture", "axes"], ["means"], keepdims=0),
        helper.make_node("Mul", ["means", "halves"], ["scores"]),
    ]
    halves = numpy_helper.from_array(np.full(3, 0.5, np.float32), "halves")
    (folder / "tensors.bin").write_bytes(halves.raw_data)
    external_data_helper.set_external_data(halves, location)
    halves.ClearField("raw_data")
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    model = build(nodes, shape=[1, 3, SIDE, SIDE], outputs={"scores": [1, 3]}, constants=[axes, halves])
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "tensors.bin", ""])
def test_unnamed_external_files_are_refused(tmp_path: Path, location: str) -> None:
    """A foreign model could read any of the worker's files into its scores, keys and lists included."""
    install(tmp_path, with_external(tmp_path, location))
    with pytest.raises(WeightsError, match="keeps tensors in") as error:
        load_classifiers(tmp_path)
    assert repr(location) in str(error.value)


def test_external_files_of_inner_graphs_are_found() -> None:
    """A tensor could hide in a nested branch."""
    model = load_model_from_string(mean_model())
    hidden = numpy_helper.from_array(np.zeros(4, np.float32), "hidden")
    external_data_helper.set_external_data(hidden, "../secret")
    hidden.ClearField("raw_data")
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=hidden)], "inner", [], [])
    outer = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=inner)], "outer", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], else_branch=outer))
    assert read_graph(model.SerializeToString()).external == {"../secret"}


def test_named_external_files_are_pinned(tmp_path: Path) -> None:
    """Large models come in several files, of which only the first would be verified."""
    weights = with_external(tmp_path, "tensors.bin")
    digest = hashlib.sha256((tmp_path / "tensors.bin").read_bytes()).hexdigest()
    means = classifier(tmp_path, weights, weights__external={"tensors.bin": digest})
    scores = means.scores(np.full((9, 9, 3), 51, np.uint8))
    assert list(scores.values()) == pytest.approx([0.1, 0.1, 0.1])
    (tmp_path / "tensors.bin").write_bytes(b"altered")
    with pytest.raises(WeightsError, match="altered"):
        means.verify()


def test_graphs_are_parsed_as_by_onnx(tmp_path: Path) -> None:
    """A misread graph would refuse good models, or accept bad ones."""
    for known in known_packages(None).values():
        try:
            data = read_weights(known).onnx
        except WeightsError:
            continue  # an extra that is not installed
        graph, theirs = read_graph(data), load_model_from_string(data).graph
        initialisers = {tensor.name for tensor in theirs.initializer}
        assert [tensor.name for tensor in graph.inputs] == [i.name for i in theirs.input if i.name not in initialisers]
        assert [tensor.name for tensor in graph.outputs] == [output.name for output in theirs.output]
        for tensor, value in zip(graph.outputs, theirs.output, strict=True):
            dims = value.type.tensor_type.shape.dim
            assert tensor.shape == tuple(dim.dim_value or None for dim in dims)


@pytest.mark.parametrize("length", range(0, 400, 7))
def test_a_truncated_file_is_refused_or_read(length: int) -> None:
    """An interrupted download would end in a traceback."""
    with contextlib.suppress(OnnxFileError):
        read_graph(mean_model()[:length])


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.integers(0, 10_000))
def test_a_damaged_file_is_refused_or_read(at: int, byte: int, cut: int) -> None:
    """A foreign file may contain anything, and would end in a traceback."""
    data = bytearray(WHOLE[: cut % (len(WHOLE) + 1)] if cut % 2 else WHOLE)
    if data:
        data[at % len(data)] = byte
    with contextlib.suppress(OnnxFileError):
        read_graph(bytes(data))


def test_nesting_of_graphs_is_limited() -> None:
    """A crafted file could exhaust the stack of its reader."""
    graph = b""
    for _ in range(2000):
        for number in (6, 5, 1):  # of an attribute its graph, of a node its attribute, of a graph its node
            graph = _field(number, graph)
    with pytest.raises(OnnxFileError, match="inside of one another"):
        read_graph(_field(7, graph))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length, encoded = len(content), bytearray()
    while length >= 0x80:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *encoded, length]) + content


def test_an_empty_folder_of_the_operator_is_ignored(tmp_path: Path) -> None:
    """No worker of compose would start: it mounts `deployment/manifests`, which is empty at first."""
    assert known_packages(tmp_path) == known_packages(None)
    (told,) = read_registry(tmp_path).broken
    assert "at least one classifier manifest" in str(told.error), "whoever names it to be verified expects some"


def test_missing_folders_and_duplicate_names_are_refused(tmp_path: Path) -> None:
    """A worker would start without a classifier, or with two of one name."""
    with pytest.raises(ManifestError, match="expected a folder"):
        load_classifiers(tmp_path / "nowhere")
    path = install(tmp_path, mean_model())
    (tmp_path / "twin.yaml").write_bytes(path.read_bytes())
    with pytest.raises(ManifestError, match=r"twin\.yaml, line 1: name: means is taken by .*means\.yaml"):
        load_classifiers(tmp_path)


def test_which_models_run(tmp_path: Path) -> None:
    """An operator would get other models than the named ones, in their order, or than the default."""

    def names(folder: Path | None, wanted: list[str] | None = None) -> list[str]:
        return [one.name for one in load_classifiers(folder, names=wanted)]

    install(tmp_path, mean_model())
    install(
        tmp_path,
        constant_model([0.5]),
        name="aside",
        use="shadow",
        weights__file="b.onnx",
        outputs=[{"labels": labels("x")}],
    )
    assert names(None) == [DEFAULT, "testcard"]
    assert names(tmp_path) == [DEFAULT, "means", "testcard"]
    assert names(tmp_path, ["means"]) == ["means", "testcard"]
    assert names(tmp_path, ["means", DEFAULT, "aside"]) == ["means", DEFAULT, "aside", "testcard"]
    with pytest.raises(ManifestError, match="no classifier has the name 'other': known are age, aside, means"):
        names(tmp_path, ["other"])


def test_an_installed_distribution_adds_models(tmp_path: Path) -> None:
    """A classifier shipped as a wheel would need more than its installation."""
    folder = tmp_path / "acme_models" / "manifests"
    folder.mkdir(parents=True)
    (tmp_path / "acme_models" / "__init__.py").write_text("raise SystemExit('a package of weights was imported')")
    install(folder, mean_model())
    info = tmp_path / "acme_models-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-models\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text("[livewarden.models]\nacme = acme_models.manifests\n")
    program = (
        "from models.classifiers.registry import chosen_packages, known_packages\n"
        "known = known_packages(None)\n"
        "print(known['means'].origin, [one.manifest.name for one in chosen_packages(known, None)])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    finished = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert finished.stdout == "acme-models 2.1 ['open-nsfw', 'means', 'testcard']\n", finished.stderr


def test_a_model_saved_in_parts_is_refused_until_they_are_named(tmp_path: Path) -> None:
    """A model that onnx saved with separate tensors would be read without verifying them."""
    save_model(
        load_model_from_string(mean_model()), tmp_path / "means.onnx", save_as_external_data=True, size_threshold=0
    )
    data = (tmp_path / "means.onnx").read_bytes()
    install(tmp_path, data)
    (external,) = read_graph(data).external
    with pytest.raises(WeightsError, match="keeps tensors in"):
        load_classifiers(tmp_path)
    assert (tmp_path / external).is_file()
