"""The installed packages are those of constraints.txt, without harmful ones."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def pins() -> dict[str, str]:
    """The version of each package that constraints.txt pins for this Python."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    required = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = [pin for pin in required if pin.marker is None or pin.marker.evaluate()]
    assert len({canonicalize_name(pin.name) for pin in here}) == len(here), "a package is pinned twice for this Python"
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in here}


def hashed(name: str) -> dict[str, str]:
    """The version of each package in one file of requirements/ for this Python; fails if one has no hash."""
    found = {}
    for block in re.split(r"\n(?! )", (ROOT / "requirements" / name).read_text().strip()):
        line, *hashes = [part.strip() for part in block.split("\\\n")]
        assert hashes, line
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), line
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate():
            found[canonicalize_name(pin.name)] = str(pin.specifier).removeprefix("==")
    return found


def installed(name: str, extras: frozenset[str], found: dict[str, str]) -> dict[str, str]:
    """Adds to `found` the installed versions of the direct and indirect requirements of `name` with `extras`."""
    for text in distribution(name).requires or ():
        needed = Requirement(text)
        if needed.marker is not None and not any(needed.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            continue
        key = canonicalize_name(needed.name)
        if key not in found or needed.extras:
            found[key] = distribution(key).version
            installed(key, frozenset(needed.extras), found)
    return found


def test_every_package_used_by_the_tests_is_pinned() -> None:
    """A newcomer would get other versions than the tested ones, and other results."""
    needed = installed("livewarden", frozenset({"dev"}), {})
    needed.pop("livewarden", None)
    assert len(needed) > 40
    pinned = pins()
    assert {name: pinned.get(name) for name in needed} == needed


@pytest.mark.parametrize(("name", "extras"), [("run.txt", ()), ("dev.txt", ("dev",))])
def test_installed_packages_match_the_hashed_requirements(name: str, extras: tuple[str, ...]) -> None:
    """The image, or a newcomer's environment, would lack a package, or have other files than the tested ones, because
    `make hashes` was forgotten."""
    needed = installed("livewarden", frozenset(extras), {})
    needed.pop("livewarden", None)
    assert hashed(name) == needed


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_hashed_requirements_have_the_versions_of_constraints(path: Path) -> None:
    """A developer who edits constraints.txt would believe that a version is out of use which is still installed; or an
    index named in the file would override the operator's."""
    found = hashed(path.name)
    assert found.items() <= pins().items()
    assert found
    assert re.search(r"index|://|find-links|trusted-host", path.read_text()) is None


def test_nothing_is_installed_without_a_hash() -> None:
    """A compromised package would be in every image, and run beside the hash lists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["build-system"]["requires"] == [f"setuptools=={pins()['setuptools']}"]
    assert hashed("build.txt") == {"setuptools": pins()["setuptools"]}
    calls = []
    for name in ("Dockerfile", "Makefile"):
        # A variable of make is checked where it is used.
        text = re.sub(r"(?m)^PIP := .*", "", (ROOT / name).read_text()).replace("$(HASHED)", "--require-hashes")
        calls += re.findall(r"(?:/pip|\$\(PIP\)) [^&|;\n]*", text.replace("\\\n", " "))
    fetching = [call for call in calls if not re.match(r"/pip (check|uninstall)", call)]
    assert len(fetching) >= 9
    for call in fetching:
        ours = "--no-deps" in call and ("--no-index" in call or "--no-build-isolation" in call)
        assert "--require-hashes" in call or ours, call


def test_there_is_one_opencv() -> None:
    """Two builds overwrite each other's `cv2`, and the one with a window toolkit fails on servers."""
    others = []
    for name in ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"):
        try:
            others.append(distribution(name).name)
        except PackageNotFoundError:
            continue
    assert others == []
    assert distribution("opencv-python-headless").version == pins()["opencv-python-headless"]
