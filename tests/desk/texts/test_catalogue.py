"""The catalogue has every text that the desk shows, and no other."""

import re
from pathlib import Path

import pytest

from desk.texts.catalogue import load_texts
from desk.texts.durations import duration

DESK = Path(__file__).parents[3] / "desk"
SOURCES = [*DESK.rglob("*.py"), *DESK.rglob("templates/**/*.html")]
FILES = {path.name for path in DESK.rglob("*.*")}


def test_every_key_that_is_used_is_there_and_every_one_there_is_used() -> None:
    """A page would fail when it is first shown; or a translator would translate what nobody reads."""
    sources = "\n".join(path.read_text() for path in SOURCES)
    keys = load_texts().by_key.keys()
    sections = {key.partition(".")[0] for key in keys}
    named = set(re.findall(rf'"((?:{"|".join(sections)})\.[a-z_]+)"', sources)) - FILES
    # Keys that are put together: their beginning is in the sources.
    beginnings = set(re.findall(rf'"((?:{"|".join(sections)})\.(?:[a-z]+_)?)(?:"|\{{)', sources)) | {
        f"settings.{name}_" for name in re.findall(r'radios\("([a-z]+)"', sources)
    }
    assert beginnings
    named = {key for key in named if not key.endswith("_")}
    assert named <= keys
    assert {key for key in keys - named if not key.startswith(tuple(beginnings))} == set()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (105, "1 min 45 s"),
        (600, "10 min"),
        (1_980, "33 min"),
        (8_760, "2 h 26 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, expected: str) -> None:
    """A moderator would read 6300 s instead of 1 h 45 min."""
    assert duration(seconds, load_texts()) == expected
