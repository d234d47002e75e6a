"""The most that a regular expression can cost, worked out from its text: the answer is the same on each machine.

The engine compiles a pattern anew at each call. It has no backtracking, but where a pattern can go on in many ways it
gives up its fast search and follows each of them.
"""

import re
import sys
from collections import Counter
from functools import lru_cache
from typing import Final, NamedTuple

import cel

from config.policy.cel.mistakes import ConditionError

MAX_CHARACTERS: Final = 1_000
"""Length of a pattern as it is written."""
MAX_LETTERS: Final = 2_000
"""Length of a pattern with its repetitions written out: 6 ms to compile it."""

# Weights in letters, measured with `common-expression-language` 0.10 on a busy core of 2.6 GHz, and rounded up
# (`python -m bench.patterns` compares bounds with costs). 100 times `a` compile in 15 µs, `[a-z]` in 140 µs, `.` in
# 540 µs, `[^a]` in 390 µs, `\s` in 320 µs, `\d` in 2.2 ms, `\w`, `\W` and `\pL` in 27 ms, `(?i)k` in 240 µs; four short
# words after `(?i)` in 160 µs, since the engine writes out how their first letters may be written. `(?i)` adds 5.5 ms
# to `[\x{0}-\x{10ffff}]`, and 3.9 ms to `\p{Any}`: it looks up each character of the range.
_FOLDED_LETTER: Final = 3
_FOLDING: Final = 50
"""Weight of `(?i)` itself."""
_ANY: Final = 5
_UNICODE: Final = 150
_SETS: Final = {"dot": _ANY, "space": _ANY, "digit": 15, "unicode": _UNICODE}
_FOLDED_CHARACTERS: Final = 550
"""Looked up in the time of a letter; of the first 65,536, where most letters with two cases are, a ninth."""
_ALL_CHARACTERS: Final = re.compile(r"\\[pP]\{\^?Any\}")
_NEGATED: Final = re.compile(r"\\[DPSW]|\\p\{\^|\[\^|" + _ALL_CHARACTERS.pattern)
_COMPILING_SECONDS: Final = 40e-6
_LETTER_SECONDS: Final = 3e-6

# Searched for in a character: `kids|school` in 2 ns, `[ab]*a[ab]{1000}c` in 6.9 µs, `\b[ab]*a[ab]{50}c\b` in 1.5 µs,
# `(?:\b.*){300}q` in 21 µs.
_FEW_CHOICES: Final = 8
"""The fast search remembers the sets of places that it was in: up to 2^choices."""
_FAST_SECONDS: Final = 0.03e-6
_PLACES_SECONDS: Final = 8e-9
"""Times the places squared, once a call: `a{1000}` takes 5 ms in a text of as many `a`, and `a{1990}` takes 29."""
_PLACE_SECONDS: Final = 0.03e-6

_CLASS: Final = r"(?P<class>\[\^?(?:-+|\]?))"
_HEX: Final = "[0-9A-Fa-f]"
_ITEM: Final = (
    r"(?P<unicode>\\(?:[pP](?:\{[^}]*\}|.)|[DwW]))|(?P<digit>\\d)|(?P<space>\\[sS])|(?P<boundary>\\[bB<>])"
    rf"|(?P<code>\\(?:[xuU]\{{{_HEX}+\}}|x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}})|[^\x00-\x7f])|(?P<letter>\\.|.)"
)
_TOKEN: Final = re.compile(
    r"(?P<dot>\.)|(?P<bar>\|)|(?P<close>\))|(?P<flags>\(\?[A-Za-z-]*\))|(?P<open>\((?:\?P?<[^>]*>|\?[A-Za-z-]*:)?)"
    r"|(?P<repeat>[*+?]|\{\s*(?P<least>[0-9]*)\s*(?P<range>,\s*(?P<most>[0-9]*)\s*)?\})"
    rf"|{_CLASS}|{_ITEM}",
    re.DOTALL,
)
_CLASS_TOKEN: Final = re.compile(rf"{_CLASS}|(?P<end>\])|{_ITEM}", re.DOTALL)
_FLAGS: Final = re.compile(r"\(\?([A-Za-z-]+)[:)]")
"""Groups with flags. In a class they are letters: counting them as flags only raises the bound."""


class PatternCost(NamedTuple):
    """Seconds of CPU of one call; no more (<=)."""

    compiling_seconds: float
    per_character_seconds: float


_Size = Counter[str]
"""Counts in a part of a pattern, with its repetitions written out: `letters`, for the work to compile it; `places`
where a search can be in it; `choices`, the classes and repetitions; `options`, where 2^options are the words that it
matches."""


class _Group:
    """A group that is being read."""

    def __init__(self) -> None:
        self._branches = _Size(letters=1, places=1)
        self._before = _Size()
        self._last = _Size()
        """The part that a repetition repeats."""

    @property
    def size(self) -> _Size:
        branch = self._before + self._last
        size = self._branches + branch
        size["options"] = max(self._branches["options"], branch["options"])
        return size

    def add(self, part: _Size) -> None:
        self._before, self._last = self._before + self._last, part

    def branch(self) -> None:
        self._branches = self.size + _Size(letters=1, places=1)
        self._before, self._last = _Size(options=1), _Size()

    def repeat(self, token: re.Match[str]) -> None:
        least, most = int(token["least"] or 0), int(token["most"] or 0)
        times = max(most or least + 1, 1) if token["range"] else max(least, 1)
        if token["range"] or not token["least"]:
            self._last += _Size(["letters", "places", "options" if token["repeat"] == "?" else "choices"])
        self._last = _Size({name: count * times for name, count in self._last.items()})


@lru_cache(maxsize=1_000)
def pattern_cost(pattern: str) -> PatternCost:
    """Bounds the cost of a pattern.

    Raises:
        ConditionError: the pattern is too large, or the engine does not take it.
    """
    if len(pattern) > MAX_CHARACTERS:
        raise ConditionError(
            f"a pattern of {len(pattern):,} characters: expected at most {MAX_CHARACTERS:,}. Write several matches(), "
            "joined by ||"
        )
    size = _size(pattern)
    if size["letters"] > MAX_LETTERS:
        raise ConditionError(
            f"a pattern of {size['letters']:,} letters, with its repetitions written out: expected at most "
            f"{MAX_LETTERS:,}. Write + or * in place of {{n,m}}, [a-z0-9_] in place of \\w (which has {_UNICODE}), or "
            "several matches(), joined by ||"
        )
    _check_syntax(pattern)
    fast = size["choices"] + size["options"] <= _FEW_CHOICES
    return PatternCost(
        _COMPILING_SECONDS + _LETTER_SECONDS * size["letters"] + _PLACES_SECONDS * size["places"] ** 2,
        _FAST_SECONDS + (0.0 if fast else _PLACE_SECONDS * size["places"]),
    )


def _size(pattern: str) -> _Size:
    """Reads a pattern as the engine does (https://docs.rs/regex/latest/regex/#syntax); it may be none."""
    flags = "".join(_FLAGS.findall(pattern))
    if "x" in flags:
        raise ConditionError("a pattern with (?x): expected it without blanks and comments")
    folded = "i" in flags
    groups = [_Group()]
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        assert token is not None
        at = token.end()
        if token["open"]:
            groups.append(_Group())
        elif token["close"] and len(groups) > 1:
            part = groups.pop().size
            groups[-1].add(part)
        elif token["bar"]:
            groups[-1].branch()
        elif token["repeat"]:
            groups[-1].repeat(token)
        elif token["class"]:
            letters, at = _class(pattern, at, folded=folded)
            groups[-1].add(_Size(letters=_ANY + letters, places=2, choices=1))
        else:
            groups[-1].add(_item(token, folded=folded))
    return sum((group.size for group in groups), _Size(letters=_FOLDING if folded else 0))


def _class(pattern: str, at: int, *, folded: bool) -> tuple[int, int]:
    """Letters of a class, and where it ends; `at` is behind its bracket."""
    letters, depth = 1, 1
    while depth and at < len(pattern):
        token = _CLASS_TOKEN.match(pattern, at)
        assert token is not None
        at = token.end()
        depth += 1 if token["class"] else -1 if token["end"] else 0
        letters += _item(token, folded=False)["letters"] + (_folding(token) if folded else 0)
    return letters, at


def _folding(token: re.Match[str]) -> int:
    """Weight of what `(?i)` looks up for an item; ranges are taken to begin at 0."""
    last = sys.maxunicode if _NEGATED.match(token[0]) else 0
    if token["code"]:
        last = ord(token[0]) if len(token[0]) == 1 else int(token[0][2:].strip("{}"), 16)
    return (last + 8 * min(last, 0xFFFF)) // _FOLDED_CHARACTERS


def _item(token: re.Match[str], *, folded: bool) -> _Size:
    kind = str(token.lastgroup)
    if kind == "boundary":  # the fast search gives up at the first character that is not ASCII
        return _Size(letters=_ANY, places=1, choices=_FEW_CHOICES + 1)
    if kind in _SETS:
        folding = _folding(token) if folded and _ALL_CHARACTERS.fullmatch(token[0]) else 0
        return _Size(letters=_SETS[kind] + folding, places=2, choices=1)
    return _Size(letters=_FOLDED_LETTER if folded else 1, places=1)


_MATCHES: Final = cel.compile("text.matches(pattern)")


def _check_syntax(pattern: str) -> None:
    try:
        _MATCHES.execute(cel.Context(variables={"text": "", "pattern": pattern}))
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), lines[-1])
        raise ConditionError(f"no regular expression: {reason.partition('. Check ')[0]}") from error
