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
    counted = {f"{key}_one" for key in keys}
    assert {key for key in keys - named - counted if not key.startswith(tuple(beginnings))} == set()


MORE_THAN_ONE = {"case.findings", "why.held", "why.asked_of", "why.asked_frames", "why.flood", "why.flood_after"} | {
    "timeline.samples", "queue.hits", "queue.more_incidents", "queue.fresh_many", "queue.shown_page", "hold.part_other",
    "judging.duplicates_button", "package.pictures_count",
}  # fmt: skip
"""Texts that are for more than one alone, and those that count parts of what follows: "1 of its findings"."""


def test_one_is_no_plural() -> None:
    """A moderator would read "1 fields", or "1 streams cannot be read"."""
    texts = load_texts()
    plural = re.compile(r"\{count\} (?:of \{watched\} )?(?:[a-z]+ )?[a-z]+s\b")
    found = {key for key, text in texts.by_key.items() if plural.search(text)} - MORE_THAN_ONE
    assert found >= {"stream.metadata", "why.more_matches", "clear_view.today", "queue.origin_stalled"}
    assert {key for key in found if f"{key}_one" not in texts.by_key} == set()
    assert texts("stream.metadata", count=1).endswith("1 field")
    assert texts("stream.metadata", count=2).endswith("2 fields")


def test_thousands_are_written_with_a_comma() -> None:
    """A moderator would read 9996 in the title beside 9,996 on the page."""
    assert load_texts()("queue.page_title", count=9_996) == "9,996 open · Queue"


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
