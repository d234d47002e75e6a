"""What regular expressions cost: the engine compiles one anew at each call, and that takes from 10 µs to seconds."""

from functools import lru_cache
from time import thread_time
from typing import Final, NamedTuple

import cel

from config.policy.cel.mistakes import ConditionError

_TRIED_CHARACTERS: Final = 1_000
_MATCHES: Final = cel.compile("text.matches(pattern)")


class PatternCost(NamedTuple):
    """Of one call, in seconds of CPU, on this machine."""

    compiling_seconds: float
    per_character_seconds: float


@lru_cache(maxsize=1_000)
def pattern_cost(pattern: str) -> PatternCost:
    """Measures it. The engine refuses patterns that would compile to over some MB, so this takes 0.2 s at most.

    Raises:
        ConditionError: the engine does not take it.
    """
    compiling = min(_seconds(pattern, "") for _ in range(3))
    # Time grows with the text by no more than its length: the engine has no backtracking.
    texts = [(piece * _TRIED_CHARACTERS)[:_TRIED_CHARACTERS] for piece in ("a", "a1 ", pattern or "a")]
    searching = max(min(_seconds(pattern, text) for _ in range(2)) for text in texts)
    return PatternCost(compiling, max(0.0, searching - compiling) / _TRIED_CHARACTERS)


def _seconds(pattern: str, text: str) -> float:
    context = cel.Context(variables={"text": text, "pattern": pattern})
    started = thread_time()
    try:
        _MATCHES.execute(context)
    except Exception as error:
        told = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line.removeprefix("error: ") for line in told if line.startswith("error: ")), told[-1])
        raise ConditionError(f"no regular expression: {reason.partition('. Check ')[0]}") from error
    return thread_time() - started
