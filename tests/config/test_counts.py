"""Numbers with their nouns and verbs."""

import pytest

from config.counts import counted


@pytest.mark.parametrize(
    ("number", "noun", "told"),
    [
        (1, "picture", "1 picture"),
        (0, "picture", "0 pictures"),
        (2, "new PDQ hash", "2 new PDQ hashes"),
        (1, "new PDQ hash", "1 new PDQ hash"),
        (1_204, "entry", "1,204 entries"),
        (3, "day", "3 days"),
        (2, "process", "2 processes"),
        (1.0, "hour", "1 hour"),
        (0.5, "hour", "0.5 hours"),
    ],
)
def test_a_number_agrees_with_its_noun(number: float, noun: str, told: str) -> None:
    """ "1 pictures" would make readers doubt the count."""
    assert counted(number, noun) == told


def test_the_verb_agrees_with_the_number() -> None:
    """As above: "1 stream are watched"."""
    assert [counted(number, "message", "wait") for number in (1, 2)] == ["1 message waits", "2 messages wait"]
    assert [counted(number, "stream", "are") for number in (1, 0)] == ["1 stream is", "0 streams are"]
