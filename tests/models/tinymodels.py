"""Tiny ONNX models and manifests, like a platform's own classifier in miniature."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.classifiers.classifier import Classifier
from models.classifiers.manifest import Provider
from models.classifiers.package import ModelPackage, read_package
from models.classifiers.registry import chosen_packages, known_packages, verified

SIDE = 8
OPSET = [helper.make_opsetid("", 18)]


def build(
    nodes: Sequence[NodeProto],
    *,
    shape: Sequence[int | str],
    outputs: dict[str, Sequence[int | str]],
    constants: Sequence[TensorProto] = (),
    dtype: int = TensorProto.FLOAT,
) -> ModelProto:
    """A graph with one input, `picture`."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info("picture", dtype, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()],
        list(constants),
    )
    return helper.make_model(graph, opset_imports=OPSET, ir_version=10)


def mean_model(layout: str = "NCHW", *, name: str = "scores", width: int = 3) -> bytes:
    """Scores are the channels' means, which shows how a picture was laid out."""
    shape = [1, 3, SIDE, SIDE] if layout == "NCHW" else [1, SIDE, SIDE, 3]
    axes = numpy_helper.from_array(np.array([2, 3] if layout == "NCHW" else [1, 2], np.int64), "axes")
    node = helper.make_node("ReduceMean", ["picture", "axes"], [name], keepdims=0)
    return bytes(build([node], shape=shape, outputs={name: [1, width]}, constants=[axes]).SerializeToString())


def constant_model(values: Sequence[float]) -> bytes:
    """Gives the same numbers for every picture."""
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "values"], ["scores"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
        numpy_helper.from_array(np.array([values], np.float32), "values"),
    ]
    shape = [1, 3, SIDE, SIDE]
    return bytes(
        build(nodes, shape=shape, outputs={"scores": [1, len(values)]}, constants=constants).SerializeToString()
    )


def endless_model(rounds: int = 2**40) -> bytes:
    """Multiplies matrices for longer than any time limit, unless the picture is black, as in the trial run."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "state"], ["state_next"]),
            helper.make_node("Identity", ["going"], ["going_next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [64, 64]),
        ],
        [
            helper.make_tensor_value_info("going_next", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_next", TensorProto.FLOAT, [64, 64]),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["picture"], ["brightest"], keepdims=0),
        helper.make_node("Greater", ["brightest", "zero"], ["bright"]),
        helper.make_node("Loop", ["rounds", "bright", "start"], ["end"], body=body),
        helper.make_node("ReduceMean", ["end"], ["mean"], keepdims=1),
        helper.make_node("Reshape", ["mean", "one_by_one"], ["scores"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
        numpy_helper.from_array(np.array(rounds, np.int64), "rounds"),
        numpy_helper.from_array(np.zeros((64, 64), np.float32), "start"),
        numpy_helper.from_array(np.array([1, 1], np.int64), "one_by_one"),
    ]
    shape = [1, 3, SIDE, SIDE]
    return bytes(build(nodes, shape=shape, outputs={"scores": [1, 1]}, constants=constants).SerializeToString())


def one_node_model(boxes: int = 400_000) -> bytes:
    """A single node compares so many boxes with each other, which takes about a minute, unless the picture is black: a
    run can be stopped only between nodes. The nodes before it take some hundredths of a second."""
    nodes = [
        helper.make_node("ReduceMax", ["picture"], ["brightest"], keepdims=0),
        helper.make_node("Greater", ["brightest", "zero"], ["bright"]),
        helper.make_node("Cast", ["bright"], ["factor"], to=TensorProto.INT64),
        helper.make_node("Mul", ["factor", "boxes"], ["more"]),
        helper.make_node("Add", ["more", "step"], ["count"]),
        helper.make_node("Range", ["start", "count", "step"], ["numbers"]),
        helper.make_node("Cast", ["numbers"], ["column"], to=TensorProto.FLOAT),
        # Boxes of height 1 side by side, none of which hides another.
        helper.make_node("Mul", ["column", "zero"], ["top"]),
        helper.make_node("Add", ["top", "one"], ["bottom"]),
        helper.make_node("Add", ["column", "one"], ["right"]),
        *(helper.make_node("Unsqueeze", [edge, "last"], [f"{edge}s"]) for edge in ("top", "column", "bottom", "right")),
        helper.make_node("Concat", ["tops", "columns", "bottoms", "rights"], ["corners"], axis=1),
        helper.make_node("Unsqueeze", ["corners", "first"], ["batch"]),
        helper.make_node("Unsqueeze", ["bottom", "first_two"], ["weights"]),
        helper.make_node("NonMaxSuppression", ["batch", "weights", "all"], ["selected"]),
        helper.make_node("Cast", ["selected"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "one_by_one"], ["scores"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(value, dtype), name)
        for name, value, dtype in (
            ("zero", 0, np.float32),
            ("one", 1, np.float32),
            ("boxes", boxes, np.int64),
            ("start", 0, np.int64),
            ("step", 1, np.int64),
            ("last", [1], np.int64),
            ("first", [0], np.int64),
            ("first_two", [0, 1], np.int64),
            ("all", [2**30], np.int64),
            ("one_by_one", [1, 1], np.int64),
        )
    ]
    shape = [1, 3, SIDE, SIDE]
    return bytes(build(nodes, shape=shape, outputs={"scores": [1, 1]}, constants=constants).SerializeToString())


def manifest(weights: bytes, **changes: Any) -> dict[str, Any]:
    """A manifest for `means.onnx`; `changes` by path, as in `input__layout`. Grey levels become 0 to 1."""
    content: dict[str, Any] = {
        "name": "means",
        "version": "1",
        "licence": "CC0-1.0",
        "source": "the tests",
        "intended_use": ["tests"],
        "validated_for": ["tests"],
        "known_limits": ["anything else"],
        "weights": {"file": "means.onnx", "sha256": hashlib.sha256(weights).hexdigest()},
        "input": {
            "layout": "NCHW",
            "channels": "RGB",
            "resize": {"width": SIDE, "height": SIDE, "filter": "bilinear"},
            "scale": [1 / 255, 1 / 255, 1 / 255],
        },
        "outputs": [
            {
                "labels": [
                    {"name": "first", "category": "other"},
                    {"name": "second", "category": "other"},
                    {"name": "third", "category": "other"},
                ]
            }
        ],
    }
    for field, value in changes.items():
        part, _, name = field.rpartition("__")
        (content.setdefault(part, {}) if part else content)[name] = value
    return content


def labels(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "category": "other"} for name in names]


def install(folder: Path, weights: bytes, **changes: Any) -> Path:
    """Writes weights and a manifest beside them, and gives the manifest's path."""
    content = manifest(weights, **changes)
    (folder / str(content["weights"]["file"])).write_bytes(weights)
    path = folder / f"{content['name']}.yaml".replace("/", "_")
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def package(path: Path) -> ModelPackage:
    return read_package(path, origin="the tests")


def classifier(folder: Path, weights: bytes, **changes: Any) -> Classifier:
    return Classifier(package(install(folder, weights, **changes)))


def load_classifiers(
    folder: Path | None, *, names: Sequence[str] | None = None, provider: Provider = Provider.CPU
) -> tuple[Classifier, ...]:
    """The classifiers that a worker runs, loaded and verified."""
    return verified(chosen_packages(known_packages(folder), names), provider)
