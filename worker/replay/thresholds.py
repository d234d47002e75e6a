"""What rules compare scores with: read from their text, for the picture of a replay and for its sieve."""

import re
from dataclasses import dataclass

from config.rules import Rule

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_NAME = r"""(?:"([^"\\]*)"|'([^'\\]*)')"""
_SCORE = re.compile(r"(?<![\w.])(?:scores?\b|window\s*\.\s*(?:max|samples)\b)")
_NOW = rf"score\(\s*{_NAME}\s*\)|scores\[\s*{_NAME}\s*\]"
_HIGHEST = rf"""window\s*\.\s*max\(\s*{_NAME}\s*,\s*(?:"[^"\\]*"|'[^'\\]*')\s*\)"""
_TEST = re.compile(rf"(?:{_NOW}|{_HIGHEST})\s*(?:>=|<=|==|!=|<|>)\s*(\d+(?:\.\d+)?)")
_COUNTED = re.compile(r"""window\s*\.\s*samples\(\s*(?:"[^"\\]*"|'[^'\\]*')\s*\)\s*(?:>=|<=|==|!=|<|>)\s*(\d+)""")
_UNSURE = re.compile(r"""//|\b[rRbB]{1,2}["']|""["']""")
"""Outside of plain texts: comments, and texts of other kinds. Within these a quotation mark may not be one."""
_BEFORE = re.compile(r"(?:^|[(?:,\[]|&&|\|\|)\s*!?\s*$")
_AFTER = re.compile(r"\s*(?:$|[)?:,\]]|&&|\|\|)")


@dataclass(frozen=True, kw_only=True, order=True)
class Threshold:
    """A rule compares a score with a number."""

    score: str
    """"<model>/<label>"."""
    value: float
    rule: str
    behind: bool = False
    """It is about what lies behind a picture, in a window."""


def thresholds(rule: Rule) -> list[Threshold]:
    """All that can be read from the rule, by score and value, each once."""
    counted = ("count", "fraction")
    found = {(call.name, call.threshold, True) for call in rule.condition.windows if call.function in counted}
    for first, second, third, fourth, highest, of_highest, value in _TEST.findall(rule.when):
        name, of_window = first or second or third or fourth, highest or of_highest
        found.add((name or of_window, float(value), bool(of_window)))
    return sorted(Threshold(score=score, value=value, rule=rule.name, behind=behind) for score, value, behind in found)


def only_compares(text: str) -> bool:
    """Whether a condition asks of scores, of their maxima in windows, and of how many samples there are in these,
    nothing but how they compare with numbers, at once and by themselves: then all on the same side of each number are
    the same to it.

    True only if that is certain: where a score is calculated with, or is asked for in any other way, it is not.
    """
    bare = _TEXT.sub(lambda quoted: '"' + " " * (len(quoted[0]) - 2) + '"', text)
    if _UNSURE.search(bare):
        return False
    for place in (found.start() for found in _SCORE.finditer(bare)):
        test = _TEST.match(text, place) or _COUNTED.match(text, place)
        if test is None or not _BEFORE.search(bare[:place]) or not _AFTER.match(bare, test.end()):
            return False
    return True


def sample_counts(rule: Rule) -> tuple[int, ...]:
    """How many samples a window may have, one number for each way in which that compares with those of the rule."""
    asked = {int(number) for number in _COUNTED.findall(rule.when)}
    return tuple(sorted({0, *(near for number in asked for near in (max(0, number - 1), number, number + 1))}))
