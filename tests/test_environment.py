"""What is installed is what constraints.txt says, and nothing that would break it."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

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


def installed(name: str, extras: frozenset[str], found: dict[str, str]) -> dict[str, str]:
    """Adds to `found` the installed versions of what `name` with `extras` needs, directly or not."""
    for text in distribution(name).requires or ():
        needed = Requirement(text)
        if needed.marker is not None and not any(needed.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            continue
        key = canonicalize_name(needed.name)
        if key not in found or needed.extras:
            found[key] = distribution(key).version
            installed(key, frozenset(needed.extras), found)
    return found


def test_everything_that_the_tests_ran_with_is_pinned() -> None:
    """A newcomer gets other versions than the ones that were tested, and other results."""
    needed = installed("livewarden", frozenset({"dev"}), {})
    needed.pop("livewarden", None)
    assert len(needed) > 40
    pinned = pins()
    assert {name: pinned.get(name) for name in needed} == needed


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
