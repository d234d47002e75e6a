"""The form of the code, for a stranger: words, names, lengths of modules, and tests that mirror the rooms."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("config", "sampler", "models", "worker", "desk")
SOURCES = sorted(path for folder in (*PRODUCT, "bench", "tools") for path in (ROOT / folder).rglob("*.py"))
SCRIPTS = sorted((ROOT / "worker/store/lua").rglob("*.lua"))
ODD_BEGINNING = re.compile(r"(?:Of|What|Whether|Who|Whose|Where|When|How|Why)\b")
PRIVATE_WORDS = re.compile(r"\b(?:is told|tells of|looks at|looked at|passed over|seldom said)\b")
OLDER_WORDS = {"worker/ingest/coverage/ledger.py"}
"""They read fields of an older version, and name them."""


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Texts below modules, classes, functions and their attributes, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.lineno, value.value


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    """A reader would have to read a sentence twice to see what it is about."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in SOURCES
        for line, text in docstrings(path)
        if ODD_BEGINNING.match(text)
    ]
    found += [
        f"{path.relative_to(ROOT)}: {line}"
        for path in SCRIPTS
        for line in path.read_text().splitlines()
        if line.startswith("-- ") and re.match(r"(?:Of|What|Whether)\b", line[3:])
    ]
    assert not found, "\n".join(found)


def test_texts_have_the_field_s_words() -> None:
    """A stranger would have to learn a private language."""
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *SOURCES, *SCRIPTS]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in documents
        if path.name != "CHANGELOG.md" and str(path.relative_to(ROOT)) not in OLDER_WORDS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if PRIVATE_WORDS.search(line)
    ]
    assert not found, "\n".join(found)


def test_public_classes_have_names_of_their_own() -> None:
    """A search for a class would find two, and the reader take the wrong one."""
    names = Counter(
        node.name
        for path in SOURCES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_no_module_is_longer_than_a_reader_keeps_in_mind() -> None:
    """A change would have to be understood in several thousand lines."""
    modules = [*(path for path in SOURCES if path.relative_to(ROOT).parts[0] in PRODUCT), *SCRIPTS]
    assert [str(path.relative_to(ROOT)) for path in modules if len(path.read_text().splitlines()) > 320] == []


@pytest.mark.parametrize(
    "room",
    sorted(
        str(path.parent.relative_to(ROOT))
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("__init__.py")
        if len(list(path.parent.glob("*.py"))) > 1
    ),
)
def test_each_room_has_tests_of_its_own(room: str) -> None:
    """A newcomer could not run the tests of a room without running all."""
    # Rooms that hold rooms have their tests below.
    assert list((ROOT / "tests" / room).rglob("test_*.py")), room
