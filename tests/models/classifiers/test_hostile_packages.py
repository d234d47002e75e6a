"""Hostile or faulty model packages: none of them blocks, blinds or misleads a worker."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, load_model_from_string, numpy_helper
from onnx.external_data_helper import set_external_data
from tinymodels import SIDE, build, classifier, constant_model, install, labels, manifest, mean_model, package

from models.classifiers.classifier import Classifier
from models.classifiers.onnx_graph import ELEMENT_TYPES, read_graph
from models.classifiers.registry import SHIPPED, known_packages, read_all
from models.classifiers.weights import presence
from models.errors import ManifestError, OnnxFileError, WeightsError

pytestmark = pytest.mark.timeout(30)  # a test that should end immediately would otherwise hang for minutes


def refused(path: Path) -> str:
    with pytest.raises(ManifestError) as error:
        package(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def write(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump(manifest(mean_model(), **changes), sort_keys=False))
    return path


def halved(folder: Path, location: str) -> tuple[bytes, str]:
    """The channels' means, halved by numbers in another file; and the expected digest of that file."""
    nodes = [
        helper.make_node("ReduceMean", ["picture", "axes"], ["means"], keepdims=0),
        helper.make_node("Mul", ["means", "halves"], ["scores"]),
    ]
    halves = numpy_helper.from_array(np.full(3, 0.5, np.float32), "halves")
    content = bytes(halves.raw_data)
    (folder / location).parent.mkdir(parents=True, exist_ok=True)
    (folder / location).write_bytes(content)
    set_external_data(halves, location)
    halves.ClearField("raw_data")
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    model = build(nodes, shape=[1, 3, SIDE, SIDE], outputs={"scores": [1, 3]}, constants=[axes, halves])
    return bytes(model.SerializeToString()), hashlib.sha256(content).hexdigest()


def test_an_alias_is_refused_with_its_line(tmp_path: Path) -> None:
    """A page of nested aliases would block every worker that starts."""
    path = tmp_path / "bomb.yaml"
    path.write_text(f"a: &a [x]\nb: [*a, *a]\n{yaml.safe_dump(manifest(b''))}")
    assert "bomb.yaml, line 2: expected YAML: *a is an alias: write its value out" in refused(path)


@pytest.mark.parametrize("key", ["licence", "sha256"])
def test_a_duplicate_key_is_refused_with_its_line(tmp_path: Path, key: str) -> None:
    """The last one would win: a reviewer would read one value at the top, and another would be used."""
    path = write(tmp_path / "means.yaml")
    lines = path.read_text().splitlines()
    number = next(place for place, line in enumerate(lines) if line.strip().startswith(key))
    lines.insert(number + 1, lines[number])
    path.write_text("\n".join(lines))
    assert refused(path) == f"{path}, line {number + 2}: expected YAML: '{key}' is given twice"


def test_pipes_and_devices_are_refused_immediately(tmp_path: Path) -> None:
    """A pipe without a writer would block a worker for ever, and /dev/zero would fill its memory."""
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert refused(pipe) == f"{pipe}: the manifest cannot be read: expected a regular file, found a pipe"
    device = tmp_path / "device.yaml"
    device.symlink_to("/dev/zero")
    assert "expected a regular file, found a device" in refused(device)
    path = write(tmp_path / "means.yaml")
    weights = tmp_path / "means.onnx"
    os.mkfifo(weights)
    with pytest.raises(WeightsError, match=r"means\.onnx: the weights of means cannot be read: expected a regular"):
        Classifier(package(path)).verify()
    weights.unlink()
    weights.mkdir()
    with pytest.raises(WeightsError, match="expected a regular file"):
        Classifier(package(path)).verify()
    weights.rmdir()
    weights.symlink_to("/dev/zero")
    with pytest.raises(WeightsError, match="link to /dev/zero"):
        Classifier(package(path)).verify()


def test_weights_are_not_read_through_a_link_out_of_the_folder(tmp_path: Path) -> None:
    """A package could use one of the operator's other files as its model."""
    folder = tmp_path / "models"
    folder.mkdir()
    path = install(folder, mean_model())
    (folder / "means.onnx").rename(tmp_path / "means.onnx")
    (folder / "means.onnx").symlink_to(tmp_path / "means.onnx")
    with pytest.raises(WeightsError, match=r"it is a link to .*means\.onnx: expected a file inside .*models"):
        Classifier(package(path)).verify()
    assert presence(package(path)) == "unreadable"


@pytest.mark.parametrize("linked", ["sub", "sub/tensors.bin"])
def test_external_tensors_are_not_read_through_a_link_out_of_the_folder(tmp_path: Path, linked: str) -> None:
    """A linked file or folder would lead out of the package as `..` does."""
    folder = tmp_path / "models"
    weights, digest = halved(folder, "sub/tensors.bin")
    path = install(folder, weights, weights__external={"sub/tensors.bin": digest})
    Classifier(package(path)).verify()
    (folder / linked).rename(tmp_path / "outside")
    (folder / linked).symlink_to(tmp_path / "outside")
    with pytest.raises(WeightsError, match=r"link to .*outside.*: expected a file inside"):
        Classifier(package(path)).verify()


def test_links_of_kubernetes_lead_to_the_model(tmp_path: Path) -> None:
    """A model in a ConfigMap, which is a folder of links through `..data`, could not be loaded."""
    mounted, inner = tmp_path / "mounted", tmp_path / "mounted" / "..2026_11_25"
    weights, digest = halved(inner, "tensors.bin")
    install(inner, weights, weights__external={"tensors.bin": digest})
    (mounted / "..data").symlink_to(inner.name)
    for file in ("means.yaml", "means.onnx", "tensors.bin"):
        (mounted / file).symlink_to(Path("..data") / file)
    (tmp_path / "models").symlink_to(mounted)
    for folder in (mounted, tmp_path / "models"):
        one = Classifier(known_packages(folder)["means"])
        assert list(one.scores(np.full((9, 9, 3), 51, np.uint8)).values()) == pytest.approx([0.1] * 3)


def test_files_linked_to_an_installers_store_are_found(tmp_path: Path) -> None:
    """uv and Nix link every file of a package to their store: such models could not be loaded."""
    store, folder = tmp_path / "store", tmp_path / "installed"
    store.mkdir()
    folder.mkdir()
    install(store, mean_model())
    for file in ("means.yaml", "means.onnx"):
        (folder / file).symlink_to(store / file)
    Classifier(known_packages(folder)["means"]).verify()


@pytest.mark.parametrize("file", ["a\0b.onnx", "a\nb.onnx", "\x1b[2J.onnx"])
def test_invalid_file_names_are_reported(tmp_path: Path, file: str) -> None:
    """A NUL would end in a traceback; or control characters would hide the message."""
    text = refused(write(tmp_path / "means.yaml", weights__file=file))
    assert "weights.file: expected the name of a file" in text
    assert text.isprintable()


def test_names_of_weights_that_are_too_long_are_reported(tmp_path: Path) -> None:
    """The file system refuses such a name: `models list` would end in a traceback."""
    path = write(tmp_path / "means.yaml", weights__file="é" * 190 + ".onnx")
    assert presence(package(path)) == "unreadable"
    with pytest.raises(WeightsError, match="File name too long"):
        Classifier(package(path)).verify()


@pytest.mark.parametrize(
    "output",
    [
        {"activation": "softmax", "labels": labels("only")},
        {
            "activation": "softmax",
            "columns": 3,
            "labels": [{"name": "first", "category": "other"}, {"name": "all", "category": "other", "columns": [0, 2]}],
        },
    ],
)
def test_a_softmax_that_always_gives_one_is_refused(tmp_path: Path, output: dict[str, Any]) -> None:
    """Every picture of every stream would score 1.0."""
    text = refused(write(tmp_path / "means.yaml", outputs=[output]))
    assert "outputs[0]: activation: softmax: " in text
    assert "1.0 for every picture: expected sigmoid" in text
    assert "at least 1 item" not in text


@pytest.mark.parametrize("batch", [-1, 1, "n"])
def test_open_sizes_are_read_as_by_onnx_runtime(tmp_path: Path, batch: int | str) -> None:
    """Exporters write -1 for any batch size: such a model would be refused with a number of twenty digits."""
    model = load_model_from_string(mean_model())
    for tensor in (*model.graph.input, *model.graph.output):
        dimension = tensor.type.tensor_type.shape.dim[0]
        if isinstance(batch, int):
            dimension.dim_value = batch
        else:
            dimension.dim_param = batch
    scores = classifier(tmp_path, model.SerializeToString()).scores(np.full((9, 9, 3), 51, np.uint8))
    assert list(scores.values()) == pytest.approx([0.2] * 3)


def test_a_network_of_doubles_runs(tmp_path: Path) -> None:
    """Its manifest could not be written."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    nodes = [
        helper.make_node("ReduceMean", ["picture", "axes"], ["means"], keepdims=0),
        helper.make_node("Cast", ["means"], ["scores"], to=TensorProto.FLOAT),
    ]
    shape = [1, 3, SIDE, SIDE]
    model = build(nodes, shape=shape, outputs={"scores": [1, 3]}, constants=[axes], dtype=TensorProto.DOUBLE)
    doubles = classifier(tmp_path, model.SerializeToString(), input__dtype="float64")
    assert list(doubles.scores(np.full((9, 9, 3), 51, np.uint8)).values()) == pytest.approx([0.2] * 3)


def test_element_types_have_names() -> None:
    """ "type 16" does not say that a graph takes bfloat16."""
    renamed = {"float": "float32", "double": "float64"}
    theirs = {number: name.lower() for name, number in TensorProto.DataType.items() if name != "UNDEFINED"}
    assert {number: renamed.get(name, name) for number, name in theirs.items()} == ELEMENT_TYPES


def test_operators_of_a_later_onnx_are_reported_in_one_line(tmp_path: Path) -> None:
    """The reason would be in a screen of C++ output, if at all, and only after a worker has forked."""
    model = load_model_from_string(mean_model())
    model.opset_import[0].version = 99
    install(tmp_path, model.SerializeToString())
    with pytest.raises(WeightsError, match=r"line \d+: weights\.file: means\.onnx: opset 99: .* knows up to \d+$"):
        Classifier(known_packages(tmp_path)["means"]).verify()
    model.opset_import.append(helper.make_opsetid("acme.operators", 1000))
    model.opset_import[0].version = 18
    assert read_graph(model.SerializeToString()).opset == 18


def test_a_wrong_digest_is_reported_with_its_line(tmp_path: Path) -> None:
    """After a new export, its author would have to search the manifest for the place."""
    path = install(tmp_path, mean_model())
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "sha256" in text)
    (tmp_path / "means.onnx").write_bytes(b"altered")
    with pytest.raises(WeightsError) as error:
        Classifier(package(path)).verify()
    assert str(error.value).startswith(f"{path}, line {line}: weights.sha256: {tmp_path / 'means.onnx'}: ")


def test_a_file_that_is_no_model_is_reported(tmp_path: Path) -> None:
    """An error page saved in place of the model would end in a traceback."""
    with pytest.raises(OnnxFileError, match="expected an ONNX model"):
        read_graph(b"<!doctype html>")


def test_a_broken_manifest_does_not_hide_the_others(tmp_path: Path) -> None:
    """A typo in one manifest would hide all models; yet no worker may start with it."""
    install(tmp_path, mean_model())
    (tmp_path / "broken.yaml").write_text("name: [")
    shelf = read_all(tmp_path)
    assert "means" in shelf.packages
    assert [one.path for one in shelf.broken] == [str(tmp_path / "broken.yaml")]
    with pytest.raises(ManifestError, match=r"broken\.yaml"):
        known_packages(tmp_path)


def test_manifests_with_upper_case_suffixes_are_read(tmp_path: Path) -> None:
    """A file from another system would be silently ignored, and its model would not run."""
    install(tmp_path, mean_model()).rename(tmp_path / "MEANS.YAML")
    assert "means" in known_packages(tmp_path)


def test_an_operators_model_is_marked_as_replacing_a_shipped_one(tmp_path: Path) -> None:
    """Its scores would be taken for those of the shipped model."""
    install(tmp_path, constant_model([0.5]), name="open-nsfw", outputs=[{"labels": labels("nsfw")}])
    replaced = known_packages(tmp_path)["open-nsfw"]
    assert (replaced.origin, replaced.replaces) == (str(tmp_path), "livewarden")
    assert known_packages(tmp_path)["testcard"].replaces is None


def test_a_distribution_does_not_replace_a_shipped_model(tmp_path: Path) -> None:
    """A distribution installed beside livewarden could replace the default model with one that detects nothing."""
    folder = tmp_path / "evil_models"
    folder.mkdir()
    install(folder, constant_model([0.0]), name="open-nsfw", outputs=[{"labels": labels("nsfw")}])
    info = tmp_path / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[livewarden.models]\nevil = evil_models\n")
    program = "from models.classifiers.registry import known_packages\nknown_packages(None)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    told = done.stderr.splitlines()[-1]
    assert f"{folder / 'open-nsfw.yaml'}, line 1: name: open-nsfw is taken by {SHIPPED / 'open-nsfw.yaml'}" in told
    assert "from livewarden: evil 1.0 may not replace it" in told
