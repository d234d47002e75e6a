"""Builds `models/manifests/testcard.onnx`: a network so small that it knows the test card and nothing else.

It compares the picture's colours, 40 × 24 of them, with the card's, and gives the correlation through a sigmoid. Run
`python -m tools.testcard_model` after a change, and put the digest that it prints into testcard.yaml. It needs the
package `onnx`, which livewarden itself does not.
"""

import hashlib
from pathlib import Path

import cv2
import numpy as np

from models.testcard import testcard

FILE = Path(__file__).parents[1] / "models" / "manifests" / "testcard.onnx"

WIDTH, HEIGHT = 40, 24
"""The card has ten by six tiles: each is seen by 4 × 4 pixels."""

CERTAIN, STEEPNESS = 0.75, 40.0
"""Correlation from which it is rather the card than not, and how fast that turns: 0.65 gives 0.02, 0.85 gives 0.98."""

OPSET, IR_VERSION = 18, 10


def template() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The card as the network compares: float32, (1, 3 × HEIGHT × WIDTH), of mean 0 and length 1."""
    card = cv2.resize(testcard(1280, 720), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    # Whole grey levels, so that a change of OpenCV's fonts by a hair does not move the file.
    values = card.astype(np.float32).transpose(2, 0, 1).reshape(1, -1)
    values -= values.mean()
    return np.asarray(values / np.linalg.norm(values), np.float32)


def build() -> bytes:
    """The ONNX file."""
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: float) -> TensorProto:
        return numpy_helper.from_array(np.array(value, np.float32), name)

    nodes = [
        helper.make_node("Flatten", ["picture"], ["pixels"]),
        helper.make_node("ReduceMean", ["pixels"], ["mean"]),
        helper.make_node("Sub", ["pixels", "mean"], ["contrast"]),
        helper.make_node("ReduceL2", ["contrast"], ["length"]),
        helper.make_node("Add", ["length", "one"], ["divisor"]),
        helper.make_node("Div", ["contrast", "divisor"], ["direction"]),
        helper.make_node("Gemm", ["direction", "card"], ["correlation"], transB=1),
        helper.make_node("Sub", ["correlation", "certain"], ["beyond"]),
        helper.make_node("Mul", ["beyond", "steepness"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    constants = [
        numpy_helper.from_array(template(), "card"),
        constant("one", 1.0),
        constant("certain", CERTAIN),
        constant("steepness", STEEPNESS),
    ]
    graph = helper.make_graph(
        nodes,
        "testcard",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    data = build()
    FILE.write_bytes(data)
    print(hashlib.sha256(data).hexdigest())
