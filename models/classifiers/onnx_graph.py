"""The description that an ONNX file has of itself, read without a session and without the package `onnx`.

A session loads what the file names, external tensors on other paths among them, and may not be built before a worker's
fork; so the few fields that matter are read here from the protobuf (onnx/onnx.proto, IR version 10).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from models.errors import OnnxFileError

MAX_DEPTH = 32
"""Depth of graphs inside of nodes; real ones have two or three."""

ELEMENT_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8e4m3fn",
    18: "float8e4m3fnuz",
    19: "float8e5m2",
    20: "float8e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4e2m1",
    24: "float8e8m0",
    25: "uint2",
    26: "int2",
    27: "float6e2m3",
    28: "float6e3m2",
}
"""TensorProto.DataType, as numpy calls them where numpy has them."""

_NEGATIVE = 1 << 63
"""From here on a varint of 64 bits is a negative number."""

_ONNX_DOMAINS = ("", "ai.onnx")

_EXTERNAL = 1
"""TensorProto.DataLocation."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output of a graph."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    """None in it: a dimension that is not fixed. None for all: the file does not say."""


@dataclass(frozen=True, kw_only=True)
class OnnxGraph:
    """The main graph of a file."""

    inputs: tuple[Tensor, ...]
    """Those that the caller gives: without initialisers, which old files list among them."""
    outputs: tuple[Tensor, ...]
    opset: int
    """Version of ONNX's own operators that it is written in."""
    external: frozenset[str]
    """Paths of other files in which tensors lie, as the file has them, relative to its folder."""


def read_graph(data: bytes) -> OnnxGraph:
    """Reads the main graph's inputs and outputs, and all external files, those of inner graphs and functions too.

    Raises:
        OnnxFileError: it is no ONNX file; the text names what was expected.
    """
    model = memoryview(data)
    graph = next((value for field, value in _fields(model) if field == 7 and isinstance(value, memoryview)), None)
    if graph is None:
        raise OnnxFileError("expected an ONNX model, found no graph")
    initialisers = {_text(tensor, 8) for tensor in _parts(graph, 5)}
    inputs = (_tensor(part) for part in _parts(graph, 11))
    return OnnxGraph(
        inputs=tuple(tensor for tensor in inputs if tensor.name not in initialisers),
        outputs=tuple(_tensor(part) for part in _parts(graph, 12)),
        opset=max((_number(opset, 2) for opset in _parts(model, 8) if _text(opset, 1) in _ONNX_DOMAINS), default=1),
        external=frozenset(_external_of_model(model)),
    )


def _external_of_model(model: memoryview) -> Iterator[str]:
    for graph in _parts(model, 7):
        yield from _external(graph, 0)
    for training in _parts(model, 20):
        for field in (1, 2):
            for graph in _parts(training, field):
                yield from _external(graph, 0)
    for function in _parts(model, 25):
        for node in _parts(function, 7):
            yield from _external_of_node(node, 0)


def _external(graph: memoryview, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise OnnxFileError(f"expected at most {MAX_DEPTH} graphs inside of one another")
    for tensor in _parts(graph, 5):
        yield from _location(tensor)
    for sparse in _parts(graph, 15):
        yield from _location_of_sparse(sparse)
    for node in _parts(graph, 1):
        yield from _external_of_node(node, depth)


def _external_of_node(node: memoryview, depth: int) -> Iterator[str]:
    for attribute in _parts(node, 5):
        for field in (5, 10):
            for tensor in _parts(attribute, field):
                yield from _location(tensor)
        for field in (22, 23):
            for sparse in _parts(attribute, field):
                yield from _location_of_sparse(sparse)
        for field in (6, 11):
            for graph in _parts(attribute, field):
                yield from _external(graph, depth + 1)


def _location_of_sparse(sparse: memoryview) -> Iterator[str]:
    for field in (1, 2):
        for tensor in _parts(sparse, field):
            yield from _location(tensor)


def _location(tensor: memoryview) -> Iterator[str]:
    """The file in which a tensor lies, if it is another one; one without a name is "" ."""
    entries = {_text(entry, 1): _text(entry, 2) for entry in _parts(tensor, 13)}
    if entries or _number(tensor, 14) == _EXTERNAL:
        yield entries.get("location", "")


def _tensor(info: memoryview) -> Tensor:
    """A ValueInfoProto: name = 1, type = 2; of that, tensor_type = 1: elem_type = 1, shape = 2: dim = 1."""
    dtype, shape = "something else than a tensor", None
    for kind in _parts(info, 2):
        for tensor in _parts(kind, 1):
            number = _number(tensor, 1)
            dtype = ELEMENT_TYPES.get(number, f"type {number}")
            for dimensions in _parts(tensor, 2):
                shape = tuple(_size(_number(dimension, 1)) for dimension in _parts(dimensions, 1))
    return Tensor(name=_text(info, 1), dtype=dtype, shape=shape)


def _size(number: int) -> int | None:
    """Size of a dimension; some exporters write -1 for one that is not fixed, and ONNX Runtime takes it so."""
    return number if 0 < number < _NEGATIVE else None


def _parts(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for field, value in _fields(message):
        if field == wanted and isinstance(value, memoryview):
            yield value


def _text(message: memoryview, wanted: int) -> str:
    return next((bytes(part).decode(errors="replace") for part in _parts(message, wanted)), "")


def _number(message: memoryview, wanted: int) -> int:
    return next((value for field, value in _fields(message) if field == wanted and isinstance(value, int)), 0)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a protobuf message, in order: numbers as they are, everything of a length as a view."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield field, value
            continue
        if kind == 2:
            length, at = _varint(message, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise OnnxFileError("expected an ONNX model, found something else")
        if at + length > end:
            raise OnnxFileError("expected an ONNX model, found one that is cut off, or something else")
        yield field, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise OnnxFileError("expected an ONNX model, found one that is cut off, or something else")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
