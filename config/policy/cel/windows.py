"""Windows: counts, shares and maxima over the last seconds or samples of a stream.

A condition uses them by calls with constant arguments, `window.count("model/label", 0.8, "30s")`. They are read
when the condition is compiled, and each distinct one is computed once a sample, whichever rules use it.
"""

import hashlib
import math
import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from config.documents.names import unknown
from config.facts import ListedHash, SampleFacts
from config.policy.cel.folding import constant
from config.policy.cel.mistakes import ConditionError, together
from config.policy.cel.syntax import Call, Node, nodes

MAX_WINDOW_SECONDS: Final = 600
"""Ten minutes: what rules about a scene need. All of it is read and written with each segment that ends."""
MAX_WINDOW_SAMPLES: Final = 500
"""About as much, where a sample is taken each second."""
MAX_KEPT_SAMPLES: Final = 2_000
"""Bounds the record of a stream, some 100 kB at the densest sampling."""

SIGNATURES: Final[Mapping[str, str]] = {
    "count": 'count("MODEL/LABEL", 0.8, "30s")',
    "fraction": 'fraction("MODEL/LABEL", 0.8, "30s")',
    "matched": 'matched("LIST", "30s")',
    "max": 'max("MODEL/LABEL", "30s")',
    "samples": 'samples("30s")',
}
"""The functions of `window`; a span is "30s" or "20 samples"."""

_SPAN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)\s*s|(\d+)\s+samples?)\s*")


class Span(NamedTuple):
    """Length of a window; it includes the sample that is evaluated."""

    ms: int | None = None
    """(t - ms, t], by capture time."""
    samples: int | None = None


class WindowSample(NamedTuple):
    """The part of a sample that windows need, which Redis keeps."""

    capture_ms: int
    classified: bool
    scores: Mapping[str, float]
    lists: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WindowCall:
    """One question to a window."""

    function: str
    name: str = ""
    """Name of a score, or for `matched` of a list."""
    threshold: float = 0.0
    """A score counts from (>=) here."""
    span: Span

    @cached_property
    def variable(self) -> str:
        """The name by which the compiled condition knows the answer: shorter than any call's text."""
        text = f"{self.function} {self.name} {self.threshold} {self.span}"
        return f"w_{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def answer(self, scores: Sequence[float]) -> int | float:
        """Over the scores of a window's samples, 0.0 where one has none; of `matched`, 1.0 where one matched."""
        return _ANSWERS[self.function](scores, self.threshold)


def _count(scores: Sequence[float], threshold: float) -> int:
    return sum(map(threshold.__le__, scores))


def _fraction(scores: Sequence[float], threshold: float) -> float:
    return _count(scores, threshold) / len(scores) if scores else 0.0


def _max(scores: Sequence[float], _: float) -> float:
    return max(scores, default=0.0)


def _matched(scores: Sequence[float], _: float) -> int:
    return round(sum(scores))


def _samples(scores: Sequence[float], _: float) -> int:
    return len(scores)


_ANSWERS: Final[Mapping[str, Callable[[Sequence[float], float], int | float]]] = {
    "count": _count,
    "fraction": _fraction,
    "matched": _matched,
    "max": _max,
    "samples": _samples,
}


def read_calls(tree: Node) -> dict[Call, WindowCall]:
    """A condition's calls of `window`, by their parts of the tree.

    Raises:
        ConditionError: an unknown function, or arguments other than constants that fit; with its place, and with all
            others (`further`).
    """
    calls: dict[Call, WindowCall] = {}
    mistakes: list[ConditionError] = []
    for node in nodes(tree):
        if isinstance(node, Call) and node.of_window:
            try:
                calls[node] = _read(node)
            except ConditionError as error:
                mistakes.append(error)
    if mistakes:
        raise together(mistakes)
    return calls


def with_variables(text: str, calls: Mapping[Call, WindowCall]) -> str:
    """A condition with variables in place of its calls, each as long as the call: columns stay what they are."""
    parts: list[str] = []
    at = 0
    for node, call in sorted(calls.items(), key=lambda item: item[0].start):
        room = text[node.start : node.end]
        left = len(room) - len(call.variable)
        # Line breaks stay, or lines would be counted wrongly.
        parts += [text[at : node.start], call.variable, " " * (left - room.count("\n")), "\n" * room.count("\n")]
        at = node.end
    return "".join([*parts, text[at:]])


def _read(node: Call) -> WindowCall:
    function = node.function
    form = SIGNATURES.get(function)
    if form is None:
        known = [f"window.{name}" for name in SIGNATURES]
        raise ConditionError(unknown("name", f"window.{function}", known), node.function_at)
    values = [constant(argument) for argument in node.arguments]
    expected = [str if part.strip().startswith('"') else float for part in form.partition("(")[2].split(",")]
    at = node.arguments[0].start if node.arguments else node.end - 1
    if [float if type(value) is int else type(value) for value in values] != expected:
        text = f'expected constants, as in window.{form}; a span is "30s" or "20 samples"'
        raise ConditionError(f"window.{function}(): {text}", at)
    *arguments, span = values
    return WindowCall(
        function=function,
        name=str(arguments[0]) if arguments else "",
        threshold=float(arguments[1] or 0.0) if len(arguments) > 1 else 0.0,
        span=_span(str(span), node.arguments[-1].start),
    )


def _span(text: str, at: int) -> Span:
    found = _SPAN.fullmatch(text)
    if found is not None and found[1] is not None and 0 < float(found[1]) <= MAX_WINDOW_SECONDS:
        return Span(ms=round(float(found[1]) * 1000))
    if found is not None and found[2] is not None and 0 < int(found[2]) <= MAX_WINDOW_SAMPLES:
        return Span(samples=int(found[2]))
    raise ConditionError(
        f'window: {text!r}: expected a span such as "30s", up to "{MAX_WINDOW_SECONDS}s", or "20 samples", up to '
        f'"{MAX_WINDOW_SAMPLES} samples"',
        at,
    )


class Windows:
    """The calls of all rules of a policy, and what must be kept for them."""

    def __init__(self, calls: Iterable[WindowCall]) -> None:
        every = tuple(dict.fromkeys(calls))
        self._score_calls = _by_name(call for call in every if call.function != "matched")
        self._match_calls = _by_name(call for call in every if call.function == "matched")
        self._ms = max((call.span.ms or 0 for call in every), default=0)
        self._samples = max((call.span.samples or 0 for call in every), default=0)

    @property
    def lists(self) -> Set[str]:
        """Hash lists that windows count."""
        return self._match_calls.keys()

    def of(self, sample: SampleFacts, silent: Set[ListedHash] = frozenset()) -> WindowSample:
        """The part of a sample to be kept; of its matches none with `silent` hashes."""
        scores = {
            name: score for name, score in sample.scores.items() if name in self._score_calls and math.isfinite(score)
        }
        matched = {match.list for match in sample.matches if match.listed not in silent}
        lists = tuple(sorted(matched & self._match_calls.keys()))
        return WindowSample(sample.capture_ms, sample.classified, scores, lists)

    def answers(self, past: Sequence[WindowSample], now: WindowSample) -> dict[str, int | float]:
        """The result of each call, by its variable.

        Args:
            past: what is kept, by capture time; what is later than `now` does not count.
        """
        if not self._score_calls and not self._match_calls:
            return {}
        every = [*past[: bisect_right(past, now.capture_ms, key=_capture_ms)], now]
        classified = [one for one in every if one.classified]
        found: dict[str, int | float] = {}
        captures_ms = [one.capture_ms for one in classified]
        for name, calls in self._score_calls.items():
            scores = [one.scores.get(name, 0.0) for one in classified]
            for call in calls:
                found[call.variable] = call.answer(scores[_start(call.span, captures_ms, now.capture_ms) :])
        for name, calls in self._match_calls.items():
            matches = [float(name in one.lists) for one in every]
            for call in calls:
                found[call.variable] = call.answer(matches[_start_of_all(call.span, every, captures_ms) :])
        return found

    def keep(self, past: Sequence[WindowSample], now: WindowSample) -> list[WindowSample]:
        """`past` and `now` without what no window can reach any more."""
        if not self._score_calls and not self._match_calls:
            return []
        kept = list(past)
        insort(kept, now, key=_capture_ms)
        first = bisect_right(kept, kept[-1].capture_ms - self._ms, key=_capture_ms)
        if self._samples:
            classified = [index for index, one in enumerate(kept) if one.classified]
            first = min(first, classified[-min(self._samples, len(classified))] if classified else first)
        return kept[max(first, len(kept) - MAX_KEPT_SAMPLES) :]


def _by_name(calls: Iterable[WindowCall]) -> dict[str, list[WindowCall]]:
    found: dict[str, list[WindowCall]] = {}
    for call in calls:
        found.setdefault(call.name, []).append(call)
    return found


def _start(span: Span, captures_ms: Sequence[int], now_ms: int) -> int:
    """Index of the sample with which a window begins that ends with the last one."""
    if span.samples is not None:
        return max(0, len(captures_ms) - span.samples)
    assert span.ms is not None
    return bisect_right(captures_ms, now_ms - span.ms)


def _start_of_all(span: Span, every: Sequence[WindowSample], classified_ms: Sequence[int]) -> int:
    """As above, with samples that were not classified: a span of samples holds those between the others."""
    if span.ms is not None:
        return bisect_right(every, every[-1].capture_ms - span.ms, key=_capture_ms)
    assert span.samples is not None
    if len(classified_ms) <= span.samples:
        return 0
    return bisect_left(every, classified_ms[-span.samples], key=_capture_ms)


def _capture_ms(one: WindowSample) -> int:
    return one.capture_ms
