"""The check that a manifest and its weights are of the same model."""

from collections.abc import Callable, Iterable
from functools import cache
from math import prod
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_state

from config.counts import counted
from models.classifiers.manifest import Input, Output
from models.classifiers.onnx_graph import OnnxGraph, Tensor
from models.classifiers.package import ModelPackage
from models.errors import WeightsError


def check_fit(package: ModelPackage, graph: OnnxGraph) -> None:
    """Compares the manifest with the graph, as far as the graph has the same facts.

    Raises:
        WeightsError: they disagree; the text names the manifest's file, line and field, and both sides.
    """
    _check_opset(package, graph)
    _check_input(package, graph)
    outputs = package.manifest.outputs
    if outputs[0].name is None and len(graph.outputs) != 1:
        raise WeightsError(f"{package.place('outputs', 0)}: name: expected one of {_names(graph.outputs)}")
    for place, output in enumerate(outputs):
        _check_output(package, graph, place, output)


def input_name(wanted: Input, graph: OnnxGraph) -> str:
    """The graph's name of its input."""
    return graph.inputs[0].name if wanted.name is None else wanted.name


def output_name(wanted: Output, graph: OnnxGraph) -> str:
    """The graph's name of an output."""
    return graph.outputs[0].name if wanted.name is None else wanted.name


def input_shape(wanted: Input) -> tuple[int, int, int, int]:
    """Shape of one picture, as the network takes it."""
    size = wanted.size
    return (1, 3, size.height, size.width) if wanted.layout == "NCHW" else (1, size.height, size.width, 3)


def _check_opset(package: ModelPackage, graph: OnnxGraph) -> None:
    known = _known_opset()
    if known is not None and graph.opset > known:
        raise WeightsError(
            f"{package.place('weights', 'file')}: {package.manifest.weights.file}: opset {graph.opset}: "
            f"this ONNX Runtime ({onnxruntime.__version__}) knows up to {known}"
        )


@cache
def _known_opset() -> int | None:
    """The newest version of ONNX's operators of which this ONNX Runtime has any. No session is needed for that; but
    the call is not part of its documented interface. None: it is missing; a session's refusal will show it."""
    ask: Callable[[], Iterable[Any]] = getattr(onnxruntime_state, "get_all_operator_schema", tuple)
    return max((schema.since_version for schema in ask() if not schema.domain), default=None)


def _check_input(package: ModelPackage, graph: OnnxGraph) -> None:
    wanted = package.manifest.input
    if len(graph.inputs) != 1:
        raise WeightsError(f"{package.place('input')}: expected a graph of one input, found {_names(graph.inputs)}")
    (found,) = graph.inputs
    if input_name(wanted, graph) != found.name:
        raise WeightsError(f"{package.place('input', 'name')}: {wanted.name!r}: the graph's input is {found.name!r}")
    if found.dtype != wanted.dtype:
        raise WeightsError(f"{package.place('input', 'dtype')}: {wanted.dtype}: the graph takes {found.dtype}")
    shape = input_shape(wanted)
    if found.shape is not None and not _agree(found.shape, shape):
        raise WeightsError(
            f"{package.place('input')}: {wanted.layout} {_shape(shape)} by layout, resize and crop: "
            f"the graph takes {_shape(found.shape)}"
        )


def _check_output(package: ModelPackage, graph: OnnxGraph, place: int, wanted: Output) -> None:
    known = {tensor.name: tensor for tensor in graph.outputs}
    found = known.get(output_name(wanted, graph))
    if found is None:
        raise WeightsError(
            f"{package.place('outputs', place, 'name')}: {wanted.name!r}: the graph gives {_names(graph.outputs)}"
        )
    if found.dtype not in ("float32", "float16", "float64"):
        raise WeightsError(f"{package.place('outputs', place)}: expected an output of floats, found {found.dtype}")
    # One dimension may be the batch, of any size.
    if found.shape and None not in found.shape[1:]:
        numbers = prod(size or 1 for size in found.shape)
        if numbers != wanted.width:
            raise WeightsError(
                f"{package.place('outputs', place, 'labels')}: {counted(wanted.width, 'column')}: "
                f"the graph gives {numbers}"
            )


def _agree(found: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    return len(found) == len(shape) and all(one in (None, other) for one, other in zip(found, shape, strict=True))


def _names(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(repr(tensor.name) for tensor in tensors) or "none"


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
