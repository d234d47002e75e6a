"""Reads conditions: CEL's grammar, and the trees that are made by it.

The engine gives no tree, so the grammar of CEL's specification stands here once more. It takes all that the engine
takes, and some more: what the engine refuses is refused before.
"""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from lark import Lark, Token, Transformer, UnexpectedInput

from config.policy.cel.mistakes import ConditionError
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

MAX_DEPTH: Final = 150
"""Depth of a tree, and so of recursions over it. People write less than a tenth of that."""

# https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
_GRAMMAR: Final = r"""
?start: expr
?expr: or | or "?" or ":" expr -> choice
?or: and | or "||" and -> operation
?and: relation | and "&&" relation -> operation
?relation: addition | relation ("<=" | "<" | ">=" | ">" | "==" | "!=" | "in") addition -> operation
?addition: multiplication | addition ("+" | "-") multiplication -> operation
?multiplication: unary | multiplication ("*" | "/" | "%") unary -> operation
?unary: member | ("!" | "-") unary -> operation
?member: primary
    | member "." NAME -> select
    | member "." NAME "(" arguments ")" -> method
    | member "[" expr "]" -> index
    | member "{" fields "}" -> message
?primary: NAME -> name
    | "." NAME -> name
    | NAME "(" arguments ")" -> function
    | "." NAME "(" arguments ")" -> function
    | "(" expr ")" -> parenthesis
    | "[" arguments "]" -> items
    | "{" entries "}" -> entries
    | (FLOAT | UNSIGNED | INTEGER | TEXT | "true" | "false" | "null") -> literal
arguments: [expr ("," expr)* ","?]
fields: [NAME ":" expr ("," NAME ":" expr)* ","?]
entries: [expr ":" expr ("," expr ":" expr)* ","?] -> arguments

NAME: /[A-Za-z_][A-Za-z_0-9]*/
FLOAT.3: /[0-9]+\.[0-9]+([eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+([eE][+-]?[0-9]+)?/
UNSIGNED.2: /(0x[0-9a-fA-F]+|[0-9]+)[uU]/
INTEGER.1: /0x[0-9a-fA-F]+|[0-9]+/
TEXT: /"(\\.|[^"\\\n])*"|'(\\.|[^'\\\n])*'/
%ignore /[ \t\r\n\f]+/
"""


@lru_cache(maxsize=1_000)
def read_syntax(text: str) -> Node:
    """The tree of a condition with texts in plain quotes, and without comments.

    Raises:
        ConditionError: the grammar does not have it, or it is nested deeper than MAX_DEPTH; with its place.
    """
    try:
        tree: Any = _parser().parse(text)
    except UnexpectedInput as error:
        at = error.pos_in_stream
        raise ConditionError("expected a condition in CEL", len(text) if at is None or at < 0 else at) from error
    assert isinstance(tree, Node)
    return tree


@lru_cache(maxsize=1)
def _parser() -> Lark:
    # Trees are made while it reads: no depth of nesting is too much for that.
    return Lark(_GRAMMAR, parser="lalr", keep_all_tokens=True, maybe_placeholders=False, transformer=_Trees())


class _Trees(Transformer[Token, Node]):
    """Makes a node of each rule of the grammar, from its tokens and the nodes of its parts."""

    def name(self, parts: list[Any]) -> Node:
        return Name(**_place(parts), name="".join(parts))

    def literal(self, parts: list[Any]) -> Node:
        (token,) = parts
        return Literal(**_place(parts), value=_value(token), unsigned=token.type == "UNSIGNED")

    def parenthesis(self, parts: list[Any]) -> Node:
        opening, node, closing = parts
        inside: Node = node
        return replace(inside, start=opening.start_pos, end=closing.end_pos)

    def arguments(self, parts: list[Any]) -> list[Node]:
        return _nodes(parts)

    fields = arguments

    def select(self, parts: list[Any]) -> Node:
        owner, _, field = parts
        return Select(**_place(parts), owner=owner, field=str(field), field_at=field.start_pos)

    def index(self, parts: list[Any]) -> Node:
        return Index(**_place(parts), owner=parts[0], key=parts[2])

    def function(self, parts: list[Any]) -> Node:
        *name, _, arguments, _ = parts
        function, at = "".join(name), name[0].start_pos
        return Call(**_place(parts), function=function, function_at=at, target=None, arguments=tuple(arguments))

    def method(self, parts: list[Any]) -> Node:
        target, _, name, _, arguments, _ = parts
        if name in MACROS and arguments and isinstance(arguments[0], Name):
            variable, *steps = arguments
            if len(steps) == 1 or (len(steps) == 2 and name == "map"):
                return Comprehension(
                    **_place(parts), macro=str(name), range=target, variable=variable.name, steps=tuple(steps)
                )
        at = name.start_pos
        return Call(**_place(parts), function=str(name), function_at=at, target=target, arguments=tuple(arguments))

    def message(self, parts: list[Any]) -> Node:
        raise ConditionError("expected no message: conditions know numbers, texts, lists and maps", parts[1].start_pos)

    def items(self, parts: list[Any]) -> Node:
        return Collection(**_place(parts), mapping=parts[0] == "{", items=tuple(parts[1]))

    entries = items

    def choice(self, parts: list[Any]) -> Node:
        operands = tuple(_nodes(parts))
        return Operation(**_place(parts), operator="?", operator_at=parts[1].start_pos, operands=operands)

    def operation(self, parts: list[Any]) -> Node:
        (operator,) = (part for part in parts if isinstance(part, Token))
        operands = tuple(_nodes(parts))
        first = operands[0]
        if operator in ("&&", "||") and isinstance(first, Operation) and first.operator == operator:
            # However many are joined, the tree grows no deeper.
            operands = (*first.operands, *operands[1:])
            parts = [*operands]
        at: Any = operator.start_pos
        return Operation(**_place(parts), operator=str(operator), operator_at=at, operands=operands)


def _nodes(parts: list[Any]) -> list[Node]:
    return [part for part in parts if isinstance(part, Node)]


def _place(parts: list[Any]) -> dict[str, int]:
    """Makes nodes of tokens, nodes, and lists of nodes.

    Raises:
        ConditionError: it is nested too deeply.
    """
    first, last = parts[0], parts[-1]
    start: Any = first.start_pos if isinstance(first, Token) else first.start
    end: Any = last.end_pos if isinstance(last, Token) else last.end
    below = [
        node.depth for part in parts for node in (part if isinstance(part, list) else [part]) if isinstance(node, Node)
    ]
    depth = 1 + max(below, default=0)
    if depth > MAX_DEPTH:
        raise ConditionError(f"nested deeper than {MAX_DEPTH}: expected a shorter condition", start)
    return {"start": start, "end": end, "depth": depth}


def _value(token: Token) -> bool | int | float | str | None:
    if token in _CONSTANTS:
        return _CONSTANTS[token]
    if token.type == "TEXT":
        return _unescaped(token[1:-1])
    if token.type == "FLOAT":
        return float(token)
    digits = token.rstrip("uU")
    return int(digits, 16 if "x" in digits else 10)


_CONSTANTS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_ESCAPES: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))")


def _unescaped(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        two, four, eight, octal, plain = found.groups()
        if plain is not None:
            return _ESCAPES.get(plain, plain)
        return chr(int(octal, 8) if octal is not None else int(two or four or eight, 16))

    return _ESCAPE.sub(one, text)
