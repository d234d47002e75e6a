"""Constants in conditions: values of parts that use no input."""

import math
from typing import Final

from config.policy.cel.syntax import Literal, Node, Operation

_MOST: Final = 2**63
"""The engine's whole numbers lie in [-_MOST, _MOST)."""


def constant(node: Node) -> bool | int | float | str | None:
    """A number, text or bool, where the part is one whatever the picture; None: it may be something else."""
    if isinstance(node, Literal):
        return node.value
    if not isinstance(node, Operation):
        return None
    given = [constant(operand) for operand in node.operands]
    if len(given) == 1 and node.operator == "-" and _number(given[0]):
        return -given[0]  # type: ignore[operator]
    if len(given) != 2 or node.operator not in "+-*/":
        return None
    left, right = given
    if isinstance(left, str) and isinstance(right, str):
        return left + right if node.operator == "+" else None
    if not _number(left) or type(left) is not type(right):
        return None  # the engine mixes no kinds
    return _calculated(node.operator, left, right)  # type: ignore[arg-type]


def number(node: Node) -> int | float | None:
    """A finite number, where the part is one whatever the picture; None: it may be something else."""
    value = constant(node)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _calculated(sign: str, left: float, right: float) -> int | float | None:
    if sign == "/":
        if right == 0:
            return None
        if isinstance(left, int):
            return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)  # towards zero
        return left / right
    value = left + right if sign == "+" else left - right if sign == "-" else left * right
    return value if isinstance(value, float) or -_MOST <= value < _MOST else None
