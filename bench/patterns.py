"""The cost of patterns of `matches()` relative to their bounds: `python -m bench.patterns [SEED]`.

Random patterns of letters, classes, groups and repetitions, and texts that match long prefixes of them. Goal: none
costs more than its bound, which is computed from the pattern's text alone (config/policy/cel/patterns.py).
"""

import random
import sys
from statistics import median
from time import thread_time

import cel

from config.policy.cel.mistakes import ConditionError
from config.policy.cel.patterns import pattern_cost

PATTERNS = 1_000
CHARACTERS = 1_000
TRIES = 3
"""Evaluations of a call, of which the fastest counts: the CPU time of a shared core differs by half."""
_ATOMS = (
    *("a", "b", "kid", "school", "é", "x", "^", "$", r"\b", ".", r"\d", r"\s", r"\w", r"\W", r"\pL", r"\p{Any}"),
    *("[a-z]", "[^a]", "[0-9a-f]", r"[\w-]", r"[^\d]", r"[\x{0}-\x{ffff}]", r"[\x{0}-\x{10ffff}]"),
)
_REPEATED = ("*", "+", "?", "{3}", "{1,20}", "{0,64}", "{100}", "{2,}")
_TEXTS = ("a", "ab", "kid school ", "a1 é", "x")
_MATCHES = cel.compile("text.matches(pattern)")


def main() -> None:
    """Prints the ratio of each pattern's measured cost to its bound."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    drawn = random.Random(seed)
    measured: list[tuple[float, str]] = []
    while len(measured) < PATTERNS:
        pattern = ("(?i)" if drawn.random() < 0.3 else "") + _pattern(drawn)
        try:
            bound = pattern_cost(pattern)
        except ConditionError:
            continue
        most = bound.compiling_seconds + CHARACTERS * bound.per_character_seconds
        compiling = _seconds(pattern, "") / bound.compiling_seconds
        searching = max(_seconds(pattern, (text * CHARACTERS)[:CHARACTERS]) for text in _TEXTS) / most
        measured.append((max(compiling, searching), pattern))
    measured.sort(reverse=True)
    parts = [part for part, _ in measured]
    print(f"seed {seed}: CPU over bound of {PATTERNS} patterns: median {median(parts):.2f}, most {parts[0]:.2f}")
    print(f"above 1: {sum(part > 1 for part in parts)}")
    for part, pattern in measured[:5]:
        print(f"  {part:.2f}  {pattern[:100]}")


def _pattern(drawn: random.Random, depth: int = 0) -> str:
    kind = drawn.random()
    if kind < 0.5 or depth > 3:
        pattern = drawn.choice(_ATOMS)
    elif kind < 0.75:
        pattern = _pattern(drawn, depth + 1) + _pattern(drawn, depth + 1)
    elif kind < 0.9:
        pattern = f"(?:{_pattern(drawn, depth + 1)}|{_pattern(drawn, depth + 1)})"
    else:
        pattern = f"(?:{_pattern(drawn, depth + 1)})"
    return f"(?:{pattern}){drawn.choice(_REPEATED)}" if drawn.random() < 0.35 else pattern


def _seconds(pattern: str, text: str) -> float:
    taken = []
    for _ in range(TRIES):
        context = cel.Context(variables={"text": text, "pattern": pattern})
        began = thread_time()
        _MATCHES.execute(context)
        taken.append(thread_time() - began)
    return min(taken)


if __name__ == "__main__":
    main()
