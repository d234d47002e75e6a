"""The documents: their references exist, and the README stays one page."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "deployment/README.md"])


def prose(path: Path) -> str:
    """The document without its examples."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_links_resolve(path: Path) -> None:
    """A reader would follow a link to a missing page or heading."""
    for link in re.findall(r"\]\(([^)]*)\)", prose(path)):
        target, _, anchor = " ".join(link.split()).partition("#")
        if target.startswith("https:"):
            continue
        found = path.parent / target if target else path
        assert found.exists(), link
        assert not anchor or anchor in anchors(found), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_mounted_folders_have_whole_paths(path: Path) -> None:
    """`docker compose run` would take ./folder for the name of a volume, and refuse it."""
    assert not re.findall(r"docker compose run .* -v \.\S*", path.read_text())


@pytest.mark.parametrize("path", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_named_files_and_modules_exist(path: Path) -> None:
    """A newcomer would look for a file that was moved, or a module that was renamed."""
    folders = "config|sampler|models|worker|tests|bench|tools"
    for name in re.findall(rf"`((?:{folders})/[\w./-]*)", prose(path)):
        assert (ROOT / name).exists(), name
    for name in re.findall(rf"`((?:{folders})(?:\.[a-z_]\w*)+)`", prose(path)):
        module, _, attribute = name.rpartition(".")
        assert any(is_module(each) for each in (name, module)), name
        assert is_module(name) or attribute in definitions(ROOT / f"{module.replace('.', '/')}.py"), name


def is_module(name: str) -> bool:
    found = ROOT / name.replace(".", "/")
    return found.is_dir() or found.with_suffix(".py").is_file()


def definitions(path: Path) -> set[str]:
    """Functions, classes and their methods that a module defines."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {one.name for one in nodes if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)} | {
        target.id
        for one in ast.parse(path.read_text()).body
        if isinstance(one, ast.Assign)
        for target in one.targets
        if isinstance(target, ast.Name)
    }


def test_functions_on_the_way_of_a_segment_exist() -> None:
    """A developer would look for the code that publishes an escalation in vain."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(
        r"^\| [^|]+ \| `([\w/]+)/` \| (.+) \|$", text.partition("### The way of a segment")[2], re.MULTILINE
    )
    assert len(rows) == 12
    for room, begins in rows:
        names = re.findall(r"`([\w./]+)`", begins)
        for name, following in pairwise([*names, ""]):
            if name.endswith(".py"):
                defined = definitions(ROOT / room / name)
                assert not following or following.endswith(".py") or following.rpartition(".")[2] in defined, following


def test_the_readme_is_one_page() -> None:
    """A newcomer would have to scroll to the two commands."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 100] == []
    assert re.findall(r"^    (make \w+)", "\n".join(lines), flags=re.MULTILINE) == ["make demo", "make test"]
