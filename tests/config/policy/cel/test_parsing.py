"""config/policy/cel/parsing.py: CEL's grammar, compared with the engine's own parser."""

import re
from pathlib import Path

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.policy.cel.mistakes import ConditionError, check_texts
from config.policy.cel.parsing import MAX_DEPTH, read_syntax
from config.policy.cel.syntax import Comprehension, Node, Operation, nodes

ROOT = Path(__file__).parents[4]
_IN_YAML = re.compile(r"\bwhen: *(?:>-?|\|-?)\n((?: +.*\n)+)|\bwhen: *(.+)")


def _written() -> list[str]:
    """The conditions behind `when:` in the shipped files."""
    texts: set[str] = set()
    for folder, pattern in (("config", "*.yaml"), ("docs", "*.md"), (".", "README.md"), ("tests", "**/*.py")):
        for path in (ROOT / folder).glob(pattern):
            for block, line in _IN_YAML.findall(path.read_text()):
                text = " ".join(block.split()) if block else line
                plain = re.fullmatch(r"""['"](.*?)['"][,}].*|(.*?)(?: +#.*)?""", text.strip())
                texts.add((plain[1] or plain[2] or text) if plain else text)
    return sorted(texts)


_NAMES = st.sampled_from(["a", "m", "stream", "matches", "in_", "true_", "nullable", "exists", "map"])
_CONSTANTS = st.sampled_from(
    ["1", "0x1F", "2u", "1.5", ".5", "1e3", "2.5E-3", "true", "false", "null", '"a b"', "'it'", r'"\"q\\"', "[]", "{}"]
)
_SPACE = st.sampled_from(["", " ", "  ", "\n"])


def _larger(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = ["&&", "||", "<", "<=", "==", "!=", ">", ">=", " in ", "+", "-", "*", "/", "%"]
    return st.one_of(
        st.builds("{0}{2}{1}{2}{3}".format, part, st.sampled_from(signs), _SPACE, part),
        st.builds("({}){}".format, part, _SPACE),
        st.builds("!({})".format, part),
        st.builds("-{}".format, _NAMES),
        st.builds("({}) ? {} : {}".format, part, part, part),
        st.builds("({}).{}{}".format, part, _SPACE, _NAMES),
        st.builds("{}.{}({}, {})".format, _NAMES, _NAMES, part, part),
        st.builds("({})[{}]".format, part, part),
        st.builds("f({})".format, part),
        st.builds("has(({}).{})".format, part, _NAMES),
        st.builds("matches.{}({}, {})".format, st.sampled_from(["all", "exists", "map", "filter"]), _NAMES, part),
        st.builds("m.map(x, {}, {})".format, part, part),
        st.builds("[{}, {},]".format, part, part),
        st.builds("{{{}: {}}}".format, part, part),
    )


def _taken_by_engine(text: str) -> bool:
    try:
        check_texts(text)
        cel.compile(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("text", _written())
def test_shipped_conditions_are_parsed(text: str) -> None:
    """A working policy would be refused."""
    if _taken_by_engine(text):
        assert read_syntax(text).end <= len(text)


def test_there_are_shipped_conditions() -> None:
    """The test above would check nothing."""
    assert sum(map(_taken_by_engine, _written())) >= 30


@given(st.recursive(_NAMES | _CONSTANTS, _larger, max_leaves=12))
def test_everything_the_engine_accepts_is_parsed(text: str) -> None:
    """A rule would be refused although the engine can evaluate it."""
    if _taken_by_engine(text):
        for node in nodes(read_syntax(text)):
            assert 0 <= node.start < node.end <= len(text)
            assert node.depth > max((part.depth for part in node.parts), default=0)


@given(st.recursive(_NAMES | _CONSTANTS, _larger, max_leaves=12))
def test_operators_bind_as_in_the_engine(text: str) -> None:
    """A check would read another rule than the one that is evaluated."""
    if _taken_by_engine(text):
        tree = read_syntax(text)
        assert _structure(read_syntax(_bracketed(tree, text))) == _structure(tree)
        context = cel.Context(variables={"a": 5, "m": [1, 2], "stream": {"a": True}, "matches": [3]}, functions={})
        assert _outcome(_bracketed(tree, text), context) == _outcome(text, context)


def _bracketed(node: Node, text: str) -> str:
    """The text, with the operands of each operator in parentheses."""
    if isinstance(node, Operation):
        parts = [f"({_bracketed(part, text)})" for part in node.operands]
        if len(parts) == 1:
            return f"{node.operator}{parts[0]}"
        return f"{parts[0]} ? {parts[1]} : {parts[2]}" if node.operator == "?" else f" {node.operator} ".join(parts)
    return text[node.start : node.end]


def _structure(node: Node) -> object:
    return (type(node).__name__, getattr(node, "operator", ""), [_structure(part) for part in node.parts])


def _outcome(text: str, context: cel.Context) -> str:
    try:
        return repr(cel.compile(text).execute(context))
    except Exception as error:
        return type(error).__name__


def test_places_are_those_of_the_text() -> None:
    """A mistake would be reported at the wrong place."""
    text = 'matched("a") && (matches.exists(m, m.list == "b") || x)'
    found = {text[node.start : node.end] for node in nodes(read_syntax(text))}
    assert {'matched("a")', '(matches.exists(m, m.list == "b") || x)', 'm.list == "b"', "x"} <= found
    assert [node.variable for node in nodes(read_syntax(text)) if isinstance(node, Comprehension)] == ["m"]


@pytest.mark.parametrize("text", ["(" * 4_000, "(" * 2_000 + "1" + ")" * 2_000, "!" * 4_000 + "a", "-" * 4_000, ""])
def test_deep_nesting_is_refused(text: str) -> None:
    """A policy's text could end the worker that parses it."""
    try:
        depth = read_syntax(text).depth
    except ConditionError:
        return
    assert depth <= MAX_DEPTH


def test_long_chains_are_not_deep() -> None:
    """A rule over two hundred scores would be refused as too deep."""
    assert read_syntax(" || ".join(["a"] * 800)).depth == 2
