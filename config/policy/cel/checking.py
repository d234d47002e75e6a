"""Types of a condition's parts, inferred without evaluating it: this finds mistakes that a guard hides from any trial.

Metadata values are untyped, so they are never reported as errors.
"""

from collections.abc import Collection as Names
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from config.documents.names import unknown
from config.policy.cel import types
from config.policy.cel.folding import constant
from config.policy.cel.mistakes import ConditionError, together
from config.policy.cel.syntax import (
    MACROS,
    Call,
    Collection,
    Comprehension,
    Index,
    Literal,
    Name,
    Node,
    Operation,
    Select,
)
from config.policy.cel.types import ANY, BOOL, DOUBLE, INT, NULL, UINT, Kind

MAX_MISTAKES: Final = 10
"""The checks of one condition."""

_RELATIONS: Final = frozenset({"<", "<=", ">", ">="})


def kinds_of(tree: Node, names: Mapping[str, Kind]) -> dict[Node, Kind]:
    """The type of each part of a condition.

    Raises:
        ConditionError: a name, field or function does not exist, an operation is none for what it gets, or the whole
            gives no bool; with its place, and with all others (`further`).
    """
    checker = _Checker()
    checker.expect_bool(checker.kind(tree, names), tree)
    if checker.mistakes:
        raise together(checker.mistakes)
    return checker.found


class _Checker:
    """Fills in the kinds of a tree's nodes. What is in scope goes down with the nodes."""

    def __init__(self) -> None:
        self.found: dict[Node, Kind] = {}
        self.mistakes: list[ConditionError] = []

    def kind(self, node: Node, scope: Mapping[str, Kind]) -> Kind:
        """A wrong part may have any type: it causes no further mistake around it."""
        if len(self.mistakes) >= MAX_MISTAKES:
            return ANY  # each costs up to a millisecond, and nobody reads more
        try:
            kind = self._kind(node, scope)
        except ConditionError as error:
            self.mistakes.append(error)
            kind = ANY
        self.found[node] = kind
        return kind

    def expect_bool(self, kind: Kind, node: Node) -> None:
        """Notes what gives something else."""
        if kind.name not in ("bool", "dyn"):
            self.mistakes.append(ConditionError(f"expected true or false, it gives {_a(kind)}", node.start))

    def _kind(self, node: Node, scope: Mapping[str, Kind]) -> Kind:
        match node:
            case Literal():
                return _constant(node)
            case Name():
                return _named(node, scope)
            case Select():
                return _field(self.kind(node.owner, scope), node.field, node.field_at)
            case Index():
                return self._item(node, scope)
            case Call():
                return self._answer(node, scope)
            case Comprehension():
                return self._gathered(node, scope)
            case Operation():
                return self._result(node, [self.kind(operand, scope) for operand in node.operands])
            case Collection():
                return self._collected(node, scope)
        raise AssertionError(node)

    def _item(self, node: Index, scope: Mapping[str, Kind]) -> Kind:
        owner, key = self.kind(node.owner, scope), self.kind(node.key, scope)
        name = constant(node.key)
        if owner.fields is not None and isinstance(name, str):
            return _field(owner, name, node.key.start)
        wanted = {"list": ("int", "uint"), "map": types.KEYS, "dyn": types.KEYS}.get(owner.name, ())
        if key.name != "dyn" and key.name not in wanted:
            raise ConditionError(f"{_a(owner)} has nothing under {_a(key)}", node.key.start)
        if not wanted:
            raise ConditionError(f"{_a(owner)} has no parts: expected a list or a map", node.owner.start)
        if key.owner == types.KEY and owner.inner is not None:
            return owner.inner
        return owner.part

    def _gathered(self, node: Comprehension, scope: Mapping[str, Kind]) -> Kind:
        over = self.kind(node.range, scope)
        if over.name not in ("list", "map", "dyn"):
            raise ConditionError(f".{node.macro}() needs a list or a map, this is {_a(over)}", node.range.start)
        inside = {**scope, node.variable: over.element}
        steps = [self.kind(step, inside) for step in node.steps]
        for kind, step in zip(steps, node.steps, strict=True):
            if node.macro != "map" or step is not node.steps[-1]:
                self.expect_bool(kind, step)
        if node.macro in ("map", "filter"):
            item = steps[-1] if node.macro == "map" else over.element
            most = max(1, len(over.fields)) if over.fields is not None else over.most
            return Kind(name="list", item=item, most=most)
        return BOOL

    def _collected(self, node: Collection, scope: Mapping[str, Kind]) -> Kind:
        items = [self.kind(item, scope) for item in node.items]
        if not node.mapping:
            return Kind(name="list", item=_common(items), most=len(items))
        for key, kind in zip(node.items[::2], items[::2], strict=True):
            if kind.name != "dyn" and kind.name not in types.KEYS:
                raise ConditionError(f"{_a(kind)} is no key of a map", key.start)
        return Kind(name="map", item=_common(items[1::2]), most=len(items) // 2)

    def _answer(self, node: Call, scope: Mapping[str, Kind]) -> Kind:
        name, target = node.function, node.target
        if node.of_window and target is not None:
            self.found[target] = ANY
            for argument in node.arguments:
                self.kind(argument, scope)
            return types.OF_WINDOWS.get(name, ANY)  # config/policy/cel/windows.py reports others
        if name == "has" and target is None:
            if len(node.arguments) == 1 and isinstance(node.arguments[0], Select):
                self.kind(node.arguments[0], scope)
            return BOOL
        if name in MACROS or name == "has":
            form = "has(stream.metadata.x)" if name == "has" else f"matches.{name}(m, m.distance < 9)"
            raise ConditionError(f"{name}() has another form, as in {form}", node.function_at)
        if name not in types.FUNCTIONS:
            # What it is given is not gone into: it may be meant for another kind of function.
            meant = _MEANT.get(name)
            text = unknown("function", name, types.FUNCTIONS) if meant is None else f"{name}(): CEL writes `{meant}`"
            raise ConditionError(text, node.function_at)
        on = None if target is None else self.kind(target, scope)
        given = [self.kind(argument, scope) for argument in node.arguments]
        return _called(node, on, given)

    def _result(self, node: Operation, given: list[Kind]) -> Kind:
        sign = node.operator
        if sign in ("&&", "||", "!"):
            for kind, operand in zip(given, node.operands, strict=True):
                self.expect_bool(kind, operand)
            return BOOL
        if sign == "?":
            self.expect_bool(given[0], node.operands[0])
            return _common(given[1:])
        return _result(node, given)


def _called(node: Call, on: Kind | None, given: list[Kind]) -> Kind:
    name, at = node.function, node.function_at
    every = given if on is None else [on, *given]
    if name in types.OF_NAMES:
        if len(every) != 1 or every[0].name not in ("string", "dyn"):
            raise ConditionError(f'{name}() takes one text, as in {name}("NAME")', at)
        return types.OF_NAMES[name]
    if name in ("dyn", "type"):
        if on is not None or len(given) != 1:
            raise ConditionError(f"{name}() takes one value, as in {name}(x)", at)
        return replace(given[0], name="dyn", fields=None) if name == "dyn" else ANY
    if name in types.CONVERSIONS and (on is None or name == "size"):
        takes, gives = types.CONVERSIONS[name]
        if len(every) != 1 or every[0].name not in takes | {"dyn"}:
            raise ConditionError(f"{name}() takes one of {', '.join(sorted(takes))}{_got(every)}", at)
        return Kind(name=gives, most=every[0].characters if gives == "string" else 0)
    if name in types.OF_TEXTS:
        if on is None or len(given) != 1 or any(kind.name not in ("string", "dyn") for kind in every):
            raise ConditionError(f'{name}() is called on a text, as in stream.id.{name}("TEXT"){_got(every)}', at)
        return BOOL
    if name in types.OF_DATES or name in types.OF_TIMES:
        takes = frozenset({"timestamp", "dyn", *(() if name in types.OF_DATES else ("duration",))})
        if on is None or given or on.name not in takes:
            raise ConditionError(f"{name}() is called on a timestamp, as in timestamp(x).{name}(){_got(every)}", at)
        return INT
    raise ConditionError(unknown("function", name, types.FUNCTIONS), at)


_MEANT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("len", "length", "count"), "size(x)"),
    **dict.fromkeys(("any", "some"), "matches.exists(m, …)"),
    "every": "matches.all(m, …)",
    "includes": "x in y",
    "has_key": "has(x.y)",
}
"""Names in other languages of functions that CEL has by another name."""


def _result(node: Operation, given: list[Kind]) -> Kind:
    sign, at = node.operator, node.operator_at
    if len(given) == 1:
        if given[0].name != "dyn" and given[0].name not in types.NEGATED:
            raise ConditionError(f"no such operation: -{given[0].name}", at)
        return given[0]
    left, right = given
    if sign in ("==", "!="):
        return BOOL
    if sign == "in":
        if right.name not in ("list", "map", "dyn") or (
            right.name == "map" and left.name != "dyn" and left.name not in types.KEYS
        ):
            raise ConditionError(f"no such operation: {left.name} in {right.name}: expected a list or a map", at)
        return BOOL
    if sign in _RELATIONS:
        first = node.operands[0]
        if left.name == "bool" and isinstance(first, Operation) and first.operator in _RELATIONS:
            raise ConditionError(f"CEL compares two values: `a {first.operator} b && b {sign} c`", at)
        if not _comparable(left.name, right.name):
            raise ConditionError(f"no such comparison: {left.name} {sign} {right.name}", at)
        return BOOL
    return _calculated(sign, left, right, at)


def _comparable(left: str, right: str) -> bool:
    if {left, right} <= types.NUMBERS | {"dyn"}:
        return True
    return (
        (left in types.ORDERED or left == "dyn")
        and (right in types.ORDERED or right == "dyn")
        and (left == right or "dyn" in (left, right))
    )


def _calculated(sign: str, left: Kind, right: Kind, at: int) -> Kind:
    fits = [
        gives
        for (first, of, second), gives in types.ARITHMETIC.items()
        if of == sign and left.name in (first, "dyn") and right.name in (second, "dyn")
    ]
    if not fits:
        mixed = {left.name, right.name}
        hint = ": write decimals, as in 1.0, where you calculate with them" if mixed == {"double", "int"} else ""
        raise ConditionError(f"no such operation: {left.name} {sign} {right.name}{hint}", at)
    name = fits[0] if len(set(fits)) == 1 else "dyn"
    item = _common([kind.item for kind in (left, right) if kind.item is not None])
    # Of what may be anything, a text that grows with each joint is the worst.
    most = left.characters + right.characters if name == "dyn" else left.most + right.most
    return Kind(name=name, item=item if name in ("list", "dyn") else None, most=most)


def _constant(node: Literal) -> Kind:
    if isinstance(node.value, str):
        return Kind(name="string", most=len(node.value))
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return UINT if node.unsigned else INT
    return NULL if node.value is None else BOOL if isinstance(node.value, bool) else DOUBLE


def _named(node: Name, scope: Mapping[str, Kind]) -> Kind:
    if node.name in scope:
        return scope[node.name]
    if node.name == "window":
        raise ConditionError(
            'window is used through its functions, as in window.count("MODEL/LABEL", 0.8, "30s")', node.start
        )
    raise ConditionError(unknown("name", node.name, {*scope, "window"}), node.start)


def _field(owner: Kind, field: str, at: int) -> Kind:
    if owner.fields is not None:
        if field in owner.fields:
            return owner.fields[field]
        if owner.owner == "match":
            raise ConditionError(unknown("field of a match", field, owner.fields), at)
        known = [f"{owner.owner}.{name}" for name in owner.fields]
        raise ConditionError(unknown("name", f"{owner.owner}.{field}", known), at)
    if owner.name not in ("map", "dyn"):
        raise ConditionError(f"{_a(owner)} has no field {field!r}", at)
    return owner.part


def _common(given: list[Kind]) -> Kind:
    """The type that covers all of them."""
    if not given:
        return ANY
    most = max(kind.most for kind in given)
    largest = max(given, key=lambda kind: kind.values)
    items = [kind.item for kind in given if kind.item is not None]
    if all(kind.name == largest.name and kind.fields == largest.fields for kind in given):
        return replace(largest, most=most, item=_common(items) if items else None)
    return Kind(name="dyn", item=_common(items), most=max(most, largest.values))


def _a(kind: Kind) -> str:
    return {"dyn": "this", "int": "an int", "null": "null"}.get(kind.name, f"a {kind.name}")


def _got(given: Names[Kind]) -> str:
    return f", not of {', '.join(kind.name for kind in given)}" if given else ""
