"""Places of characters in YAML texts, for any text in any style."""

import re

import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.documents.scalars import place_of

LINES = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
TEXTS = st.lists(
    st.sampled_from(["score", "a b", " ", "  ", "\n", "\n\n", "\n  ", "'", '"', "\\", "\t", "é", "\u2028", ": ", " #"])
).map("".join)


def scalar_in(text: str) -> yaml.ScalarNode:
    node: yaml.Node = yaml.compose(text, Loader=yaml.SafeLoader)
    while not isinstance(node, yaml.ScalarNode):
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[0]
    return node


@given(TEXTS, st.sampled_from(["", "'", '"', "|", ">"]), st.integers(2, 6), st.sampled_from([12, 30, 1_000]))
def test_each_character_is_located(value: str, style: str, indent: int, width: int) -> None:
    """A mistake would be reported with the line and column of something else."""
    text = yaml.safe_dump(
        {"first": 1, "rules": [{"when": value}]}, default_style=style, indent=indent, width=width, allow_unicode=True
    )
    node = scalar_in(text)
    assert node.value == value
    lines = LINES.split(text)
    if node.style in ("|", ">") and not value.strip("\n\u2028"):
        return  # nothing in it has a place
    before = (0, 0)
    for offset in range(len(value.rstrip("\n"))):
        place = place_of(text, node, offset)
        assert place is not None
        assert place > before or value[offset - 1 : offset + 1].isspace()
        before = place
        shown = lines[place[0] - 1][place[1] - 1 :]
        if value[offset].isspace():
            assert not shown or shown[0].isspace() or shown[0] == "\\"
        elif node.style == '"' and shown[0] == "\\":
            assert yaml.safe_load(f'"{re.match(r".(?:x..|u....|U.{8}|.)", shown)[0]}"') == value[offset]  # type: ignore[index]
        else:
            assert shown[0] == value[offset]


def test_the_end_is_located_after_the_last_line() -> None:
    """A condition that ends too early would be reported at the line of the next field."""
    for text, place in (
        ("when: |\n  a &&\n  b &&\n\nname: x\n", (3, 7)),
        ("when: >-\n  a &&\n  b &&\n\n\nname: x\n", (3, 7)),
        ("when: 'a &&'\nname: x\n", (1, 12)),
        ("when: a &&  \nname: x\n", (1, 11)),
        ("when: &it |\n  a &&", (2, 7)),
    ):
        node = yaml.compose(text, Loader=yaml.SafeLoader).value[0][1]
        assert place_of(text, node, len(node.value)) == place
        assert place_of(text, node, len(node.value) + 9) == place
